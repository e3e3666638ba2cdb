"""What each release of PyTorch Mobile gives its operators: from the schemas that its own library prints.

    python -m benchmarks.promises.lite_histories --cache ~/.cache/promises

writes ``export/formats/ptl_file/operator_history.json`` again: the operators of the allow-list that some release lacks,
or has with other arguments.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.promises.lite_runtime import RELEASES, LiteRuntimes
from benchmarks.promises.lite_schemas import Schemas, history, schemas_from
from export.formats.ptl_file.versions import arity

TARGET = Path(__file__).parents[2] / "export" / "formats" / "ptl_file" / "operator_history.json"
WRITER = "written"
SOURCE = (
    "The operators of ptl_operators.json whose schemas differ between releases of PyTorch Mobile, as the libraries of "
    "torch's own wheels for arm64 print them. The key is what an operator's history is: 'release:arguments' from that "
    "release on, '-' where it is not there (or takes other arguments under this name than the next release: operands "
    "would be taken for others); 'written' is what the torch that writes the files gives it."
)


def main() -> int:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="where environments stay")
    runtimes = LiteRuntimes(parser.parse_args().cache.resolve())
    tables: list[tuple[str, Schemas]] = [(release, schemas_from(runtimes.schemas(release))) for release in RELEASES]
    tables.append((WRITER, _own()))
    groups: dict[str, list[str]] = {}
    for name in sorted(arity()):
        groups.setdefault(history([(release, table.get(name)) for release, table in tables]), []).append(name)
    groups.pop("", None)
    table = {"source": SOURCE, "operators": dict(sorted(groups.items()))}
    TARGET.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"{sum(map(len, groups.values()))} operators with {len(groups)} histories")
    return 0


def _own() -> Schemas:
    import torch

    return schemas_from(str(schema) for schema in torch._C._jit_get_all_schemas())


if __name__ == "__main__":
    sys.exit(main())

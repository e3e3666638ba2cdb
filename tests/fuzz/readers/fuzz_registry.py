"""The table of readers: every place where bytes from elsewhere enter the project."""

from __future__ import annotations

import readers_of_devices
import readers_of_files
import readers_of_networks
import readers_of_power
import readers_of_records
import readers_of_runners
import readers_of_words
from fuzz_reader import Reader

READERS: dict[str, Reader] = {
    reader.name: reader
    for module in (
        readers_of_files,
        readers_of_networks,
        readers_of_records,
        readers_of_power,
        readers_of_devices,
        readers_of_runners,
        readers_of_words,
    )
    for reader in module.READERS
}

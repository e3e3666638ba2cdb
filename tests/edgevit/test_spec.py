"""Where weights came from, in one phrase."""

from edgevit.spec import Weights


def test_weights_say_where_they_came_from() -> None:
    assert Weights(source="random", seed=3).describe() == "random, seed 3"
    loaded = Weights(
        source="checkpoint", file="w.pth", sha256="0123456789ab" * 2, entry="model", stored_dtype="float16"
    )
    assert loaded.describe() == "w.pth (sha256 0123456789ab, entry model, converted from float16)"
    assert Weights(source="checkpoint", file="w.pth", sha256="0" * 64).describe() == "w.pth (sha256 000000000000)"

"""The optimising passes. One pass = one file = one test.

Each file has ``NAME`` and ``run(editor) -> PassLog``. A pass matches ATen patterns, never names of a network; a pattern
that does not match exactly is left alone. ``export/pipeline.py`` lists which passes run for which format.
"""

"""The optimising passes. One pass = one file = one test.

Each file has ``run(editor) -> PassLog``, whose log carries the file's name; most are ``export.graph_editor.each_call``
of a function that rewrites one call. A pass matches ATen patterns, never names of a network; a pattern that does not
match exactly is left alone. ``export/pipeline.py`` lists which passes run for which format.
"""

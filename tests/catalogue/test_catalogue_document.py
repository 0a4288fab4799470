"""The line of each table and key of a document."""

from changeover.storage.catalogue_document import lines_of


def test_lines_are_those_where_the_statement_begins() -> None:
    text = '''\
a = 1 # [not.a.table]
b.c = """
[neither.this]
d = 1
"""
e = [
  1, # "
  { f = 2 },
]
[g."h.i"] # j = 1
  "k" = { l = '#', m.n = 3 }
[[o]]
p = 1
[[o]]
p = 2

  [ g . q ]
a = "\\"\\"\\""
'''
    assert lines_of(text) == {
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 2,
        ("e",): 6,
        ("g",): 10,
        ("g", "h.i"): 10,
        ("g", "h.i", "k"): 11,
        ("g", "h.i", "k", "l"): 11,
        ("g", "h.i", "k", "m"): 11,
        ("g", "h.i", "k", "m", "n"): 11,
        ("o",): 14,
        ("o", "p"): 13,
        ("g", "q"): 17,
        ("g", "q", "a"): 18,
    }


def test_a_table_stands_where_its_own_header_is() -> None:
    lines = lines_of("[offers.start.options]\n\n[offers.start]\n[offers]\nsecond.base = 1\n")
    assert lines[("offers", "start")] == 3
    assert lines[("offers",)] == 4
    assert lines[("offers", "second")] == 5

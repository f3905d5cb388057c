"""Which class is meant by a name that a person wrote, on a folder for instance."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import ClassNames
from audit.class_names import listed
from imaging import RefusedError

WORDS = ["Näh té", "不良", "gut", "=cmd", "Ñandú", "İstanbul", "straße", "Ωmega"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("change", [str, str.upper, str.lower, str.title])
def test_forms_and_case_do_not_matter(form, change):
    names = ClassNames(WORDS)
    for index, word in enumerate(WORDS):
        assert names.find(unicodedata.normalize(form, change(word))) == index


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_a_class_is_found_by_its_own_name(classes):
    composed = [unicodedata.normalize("NFC", name) for name in classes]
    names = ClassNames(classes)
    for name, same in zip(classes, composed, strict=True):
        found = names.find(name)
        assert found is not None
        assert composed[found] == same


@pytest.mark.parametrize("name", ["bad", "nah te", "Nähte", "gut ", "", "0"])
def test_other_words_are_no_class(name):
    assert ClassNames(WORDS).find(name) is None


def test_case_counts_where_it_tells_classes_apart():
    names = ClassNames(["Cell", "cell", "other"])
    assert [names.find(name) for name in ("Cell", "cell", "CELL", "OTHER")] == [0, 1, None, 2]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_case_counts_there_whatever_the_form(form):
    names = ClassNames([unicodedata.normalize("NFD", "Ñ"), "ñ"])
    assert [names.find(unicodedata.normalize(form, name)) for name in ("Ñ", "ñ")] == [0, 1]


def test_form_counts_where_it_tells_classes_apart():
    names = ClassNames(["\u00e9", "e\u0301", "other"])
    assert [names.find(name) for name in ("\u00e9", "e\u0301", "\u00c9")] == [0, 1, None]


def test_a_name_of_several_classes_means_none_of_them():
    names = ClassNames(["nut", "nut", "Bolt", "bolt"])
    assert [names.find(name) for name in ("nut", "NUT", "BOLT")] == [None] * 3
    with pytest.raises(RefusedError, match="'nut', which may be one of several classes of the"):
        names.index("nut", "The table")


def test_classes_without_names_are_called_by_their_numbers():
    names = ClassNames(())
    assert [names.find(name) for name in ("0", "12", "07", "-1", "x", "٣", "²", "1234567")] == [
        *(0, 12),
        *(None,) * 6,
    ]


def test_what_is_no_class_is_refused_with_the_classes():
    with pytest.raises(RefusedError, match=r"table has the label 'x', .*: its classes are a and b"):
        ClassNames(["a", "b"]).index("x", "The table")
    with pytest.raises(RefusedError, match="are called 0, 1, 2"):
        ClassNames(()).index("x", "The table")


def test_many_names_are_counted():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefgh")) == "a, b, c, d, e and 3 more"

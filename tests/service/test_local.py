"""Which version of a repository is meant, by a name or without one."""

from pathlib import Path

import pytest

from service.repository.local import find_version
from service.settings import ConfigurationError, Settings


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for version in ("parts/1", "parts/2", "parts/10", "cells/3"):
        (tmp_path / version).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "default", "found"),
    [
        ("parts", None, "parts/10"),
        ("parts/2", None, "parts/2"),
        ("parts/2", "cells", "parts/2"),
        (None, "parts", "parts/10"),
        (None, None, "cells/3"),
    ],
)
def test_a_name_precedes_the_default_and_that_the_alphabet(
    repository: Path, name: str | None, default: str | None, found: str
) -> None:
    settings = Settings(repository=repository, default_model=default)
    assert find_version(name, settings) == repository / found


@pytest.mark.parametrize(
    ("name", "default", "sentence"),
    [
        ("nobody", None, "has no model 'nobody'; the models are cells, parts."),
        ("nobody/1", None, "has no model 'nobody/1'; the models are cells, parts."),
        ("./parts", None, "has no model './parts'; the models are cells, parts."),
        ("", None, "has no model ''; the models are cells, parts."),
        ("parts/3", None, "has no version '3' of 'parts'; the versions are 1, 2, 10."),
        (None, "nobody", "default model 'nobody' is not in the repository"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    repository: Path, name: str | None, default: str | None, sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        find_version(name, Settings(repository=repository, default_model=default))
    assert sentence in str(refused.value)


@pytest.mark.parametrize(("name", "sentence"), [("a", "it holds none."), (None, "holds no model")])
def test_an_empty_repository_says_so(tmp_path: Path, name: str | None, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        find_version(name, Settings(repository=tmp_path))

"""A preset is what the shipped network of its name was trained by, as its card says."""

from pathlib import Path

import pytest

from artifact.card import load_card
from artifact.layout import CARD_FILE
from models.networks import Network, free_parameters, multiply_adds
from models.presets import PRESETS
from models.recipe import Recipe

REPOSITORY = Path(__file__).parents[2] / "model_repository"

# Of the machine and of an interruption, not of the network.
OF_THE_RUN = ("arithmetic", "extended_at", "teacher_sha256")


def shipped():
    for file in sorted(REPOSITORY.glob(f"*/*/{CARD_FILE}")):
        card = load_card(file)
        source = card.conversion.source.name if card.conversion else card.name
        if source in PRESETS and card.training is not None:
            yield pytest.param(source, card, id=card.name)


@pytest.mark.parametrize(("name", "card"), list(shipped()))
def test_a_shipped_network_has_the_layout_and_the_recipe_of_its_preset(name, card):
    preset = PRESETS[name]
    network = Network(preset.network)
    assert free_parameters(network) == card.size.free_parameters
    assert multiply_adds(network) == card.size.multiply_adds
    kept = {key: value for key, value in card.training.recipe.items() if key not in OF_THE_RUN}
    asked = preset.recipe.model_dump(include=set(kept))
    assert Recipe.model_validate(kept) == Recipe.model_validate(asked)


def test_there_are_cards_to_compare_with():
    assert {param.values[0] for param in shipped()} >= {
        "rotmnist-c4",
        "rotmnist-c8",
        "rotmnist-large",
        "rotmnist-c4-distilled",
        "rotmnist-c4-small-distilled",
    }

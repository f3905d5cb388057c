"""The JSON of an inference request, as far as it is read; other fields are passed over."""

from typing import Annotated

import msgspec

_Dimension = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


# A field that is null counts as absent: MLServer's and KServe's own types send all that they have.


class InputParameters(msgspec.Struct, frozen=True):
    """What may be said of an input."""

    binary_data_size: Annotated[int, msgspec.Meta(ge=0, le=2**40)] | None = None
    shared_memory_region: str | None = None


class Input(msgspec.Struct, frozen=True):
    """A tensor that is sent; the JSON of its values is not read yet."""

    name: str
    shape: list[_Dimension]
    datatype: str
    parameters: InputParameters | None = None
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class OutputParameters(msgspec.Struct, frozen=True):
    """How an output is wanted."""

    binary_data: bool | None = None
    classification: int | None = None
    shared_memory_region: str | None = None


class Output(msgspec.Struct, frozen=True):
    """A tensor that is asked for."""

    name: str
    parameters: OutputParameters | None = None


class Parameters(msgspec.Struct, frozen=True):
    """What may be said of a request."""

    binary_data_output: bool | None = None
    timeout: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None
    sequence_id: int | str | None = None


class Request(msgspec.Struct, frozen=True):
    """An inference request's JSON."""

    inputs: list[Input]
    id: str | None = None
    outputs: list[Output] | None = None
    parameters: Parameters | None = None


def fewest_strings(asked: Request) -> int:
    """How many names and strings a request has to have, to say what it says."""
    count = 1 + 2 * (asked.id is not None)
    for sent in asked.inputs:
        count += 5 + bool(sent.data)
        if (given := sent.parameters) is not None:
            count += 1 + (given.binary_data_size is not None)
            count += 2 * (given.shared_memory_region is not None)
    if asked.outputs is not None:
        count += 1
        for output in asked.outputs:
            count += 2
            if (wanted := output.parameters) is not None:
                count += 1 + (wanted.binary_data is not None) + (wanted.classification is not None)
                count += 2 * (wanted.shared_memory_region is not None)
    if (general := asked.parameters) is not None:
        count += 1 + (general.binary_data_output is not None) + (general.timeout is not None)
        count += (general.sequence_id is not None) + isinstance(general.sequence_id, str)
    return count

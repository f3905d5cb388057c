"""What a comparison can be asked for: the command's options and a query's parameters."""

from typing import Annotated

from pydantic import Field

from audit.comparison.record import Margins
from audit.values import Proportion


class ComparisonOptions(Margins):
    """By how much the second model may be worse, and what the comparison holds."""

    class_margin: Annotated[
        Proportion, Field(description="Part of each class that B may be worse on.")
    ] = 0.2
    no_classes: Annotated[bool, Field(description="Ask nothing of classes apart.")] = False
    pictures: Annotated[
        bool, Field(description="Whether it holds those pictures that are at hand.")
    ] = True

    @property
    def margins(self) -> Margins:
        """By how much the second may be worse."""
        asked = self.model_dump(include={*Margins.model_fields})
        return Margins(**asked | ({"class_margin": None} if self.no_classes else {}))

"""Pictures are SVG inside of the page: shapes whose colours and hatches the page's style sets."""

from math import cos, radians, sin

from markupsafe import Markup, escape

Point = tuple[float, float]


def tag(name: str, *children: str, **attributes: float | str) -> Markup:
    """Write an element; `stroke_width` is written `stroke-width`, `class_` is written `class`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
    )
    inside = "".join(map(escape, children))
    return Markup(f"<{name}{written}>{inside}</{name}>")  # noqa: S704 -- what may be foreign is escaped


def picture(width: float, height: float, title: str, *children: str) -> Markup:
    """Write a picture; its title is what a screen reader says."""
    return tag(
        "svg",
        tag("title", title),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        role="img",
        class_="chart",
        style=f"--natural: {_value(width)}px",
    )


def text(x: float, y: float, content: str, **attributes: float | str) -> Markup:
    """Write words at a place."""
    return tag("text", content, x=x, y=y, **attributes)


def line(start: Point, stop: Point, **attributes: float | str) -> Markup:
    """Draw a straight line."""
    return tag("line", x1=start[0], y1=start[1], x2=stop[0], y2=stop[1], **attributes)


def path(*rings: list[Point], closed: bool = True) -> str:
    """The outline of polygons, for the attribute `d`."""
    end = "Z" if closed else ""
    return "".join(
        "M" + "L".join(f"{_value(x)} {_value(y)}" for x, y in ring) + end for ring in rings
    )


def on_circle(centre: float, radius: float, degrees: float) -> Point:
    """A point of a circle, counterclockwise from the right, as images are rotated."""
    angle = radians(degrees)
    return centre + radius * cos(angle), centre - radius * sin(angle)


def _value(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"

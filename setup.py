"""What pyproject.toml cannot say: the files ROS 2 expects in the package's share folder."""

from pathlib import Path

from setuptools import setup

NAME = "surgical_ml"


def tree(folder: str, pattern: str = "**/*") -> list[tuple[str, list[str]]]:
    """Every file below `folder`, paired with the share folder that it is installed into."""
    places: dict[str, list[str]] = {}
    for path in sorted(Path(folder).glob(pattern)):
        if path.is_file() and "__pycache__" not in path.parts:
            places.setdefault(f"share/{NAME}/{path.parent.as_posix()}", []).append(path.as_posix())
    return sorted(places.items())


setup(
    python_requires=">=3.11",
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *tree("launch"),
        *tree("models"),
        *tree("calibration"),
    ],
)

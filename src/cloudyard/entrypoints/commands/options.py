"""What several commands take, and the settings that follow from it."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.settings import Settings, load_settings

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Where everything is kept. Default: CLOUDYARD_DATA_DIR, else ./data.", metavar="DIR"
    ),
]


def settings_for(data_dir: Path | None, **overrides: Any) -> Settings:
    """The settings of environment, file and command line. Raises `InvalidInput`, which names what is wrong."""
    try:
        return load_settings(data_dir, **overrides)
    except ValidationError as error:
        problems = "; ".join(f"{_name(item['loc'])}: {item['msg']}" for item in error.errors())
        advice = "Correct it on the command line, in the environment or in cloudyard.toml."
        raise InvalidInput(f"A setting cannot be used. {problems}. {advice}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"cloudyard.toml cannot be read: {error}. Correct the line and try again.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"cloudyard.toml cannot be read: {error}. Save it as UTF-8 and try again.") from error
    except OSError as error:
        raise InvalidInput(
            f"{error.filename} cannot be read ({error.strerror}). Let the user that runs Cloudyard read it."
        ) from error
    except SettingsError as error:
        raise InvalidInput(f"A setting cannot be read: {error}. Correct the variable in the environment.") from error


def _name(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "settings"

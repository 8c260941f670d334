"""Reading a configuration file, and the manual of its keys."""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import BaseModel, ValidationError
from rich.markup import escape

from equipot.config import Config
from equipot.errors import ConfigError


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe YAML loader that refuses duplicate keys. PyYAML silently takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in keys:
                raise ConfigError(f"key '{key}' is given twice (line {key_node.start_mark.line + 1})")
            keys.add(key)
        return super().construct_mapping(node, deep=deep)


# YAML 1.1 reads "1e-3", a number without a point, as text. Users write learning rates in this form.
_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(?:\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def parse_yaml(text: str, where: str) -> Any:
    """Return plain Python values from YAML text. Raise ConfigError with the place `where` if it is not valid."""
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{where}: not valid YAML: {problem}{line}") from None


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file and apply overrides.

    Paths of data and model files in the file are relative to the file's folder.

    Args:
        path: the YAML file.
        overrides: texts of the form `section.key=value`; the value is YAML.

    Raises:
        ConfigError: the file cannot be read, or a key or its value is not allowed. The message has the key, its value
            and the values that are allowed.
    """
    path = Path(path)
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise ConfigError(f"{path}: not a text file; expected a YAML config") from None
    raw = parse_yaml(text, str(path))
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a mapping with the keys data, model, training, output")
    data_files, init_file = _data_files(raw), _init_file(raw)
    for override in overrides:
        _apply(raw, override)
    config = validate(raw, str(path))
    for name, files in data_files.items():
        if _data_files(raw).get(name) == files:  # paths of an override are relative to the current folder
            setattr(config.data, name, [str(path.parent / f) for f in getattr(config.data, name)])
    if config.init is not None and init_file is not None and _init_file(raw) == init_file:
        config.init.model = str(path.parent / config.init.model)
    return config


def _init_file(raw: dict[str, Any]) -> str | None:
    init = raw.get("init")
    model = init.get("model") if isinstance(init, dict) else init
    return model if isinstance(model, str) else None


def _data_files(raw: dict[str, Any]) -> dict[str, Any]:
    data = raw.get("data")
    return (
        {k: data[k] for k in ("train", "validation", "test") if data.get(k)} if isinstance(data, dict) else {}
    )


def validate(raw: Any, where: str) -> Config:
    """Return a Config from plain values. Raise ConfigError with one sentence for each problem."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        problems = [_sentence(e) for e in error.errors()]
        more = f" (and {len(problems) - 1} more: {'; '.join(problems[1:])})" if len(problems) > 1 else ""
        raise ConfigError(f"{where}: {problems[0]}{more}") from None


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"'{override}': expected key=value, e.g. training.seed=2")
    node: Any = raw
    parts = key.split(".")
    for part in parts[:-1]:
        if node.get(part) is None:
            node[part] = {}
        node = node[part]
        if not isinstance(node, dict):
            raise ConfigError(f"'{override}': '{part}' is not a section of the config")
    node[parts[-1]] = parse_yaml(value, f"'{override}'")


def _sentence(error: Any) -> str:
    # pydantic adds the types of unions ("function-before[…]") to the location. They are no part of the user's key.
    location = [
        str(p) for p in error["loc"] if not re.search(r"[\[\s]|^(int|str|float|list|dict|bool)$", str(p))
    ]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        known = list(_section(location[:-1]).model_fields)
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
        return f"unknown key '{key}'; {hint}"
    if error["type"] == "missing":
        return f"key '{key}' is missing; {_manual(location)}"
    message = re.sub(r"^Value error, ", "", error["msg"])
    if error["type"] == "value_error" and not key:
        return message
    return f"'{key}' is {error['input']!r}; {message[0].lower()}{message[1:]}"


def _section(location: Sequence[str]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for name in location:
        annotation = section.model_fields[name].annotation if name in section.model_fields else None
        inner = _model(annotation)
        if inner is None:
            break
        section = inner
    return section


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the section class in a field's annotation, also if the field is optional. Return None for other fields."""
    for part in (annotation, *get_args(annotation), *(a for p in get_args(annotation) for a in get_args(p))):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _manual(location: Sequence[str]) -> str:
    field = _section(location[:-1]).model_fields.get(location[-1])
    return (field.description or "").replace("\n", " ") if field else ""


class Key(NamedTuple):
    """A key of the config as its manual shows it."""

    name: str  # with its sections: training.loss.energy
    default: str  # "required" or "default: …"
    description: str


def all_keys(section: type[BaseModel] = Config, prefix: str = "") -> Iterator[Key]:
    """Yield all keys of a section and of the sections in it, in the order of their declaration."""
    for name, field in section.model_fields.items():
        inner = _model(field.annotation)
        if inner is not None:
            yield from all_keys(inner, f"{prefix}{name}.")
            continue
        default = "none" if field.default is None else field.default
        yield Key(
            prefix + name,
            "required" if field.is_required() else f"default: {default}",
            field.description or "",
        )


def manual() -> str:
    """Return all keys with their defaults and docstrings, as rich markup."""
    lines = []
    for key in all_keys():
        lines.append(f"[bold]{key.name}[/]  [cyan]({escape(key.default)})[/]")
        lines.append("    " + escape(key.description.replace("\n", "\n    ")))
    return "\n".join(lines)

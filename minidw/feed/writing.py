"""A feed as TOML for a person: what is declared with its reason, what is open as a question."""

import json
import re
from collections.abc import Mapping
from typing import Any

from minidw.feed.declaration import QUESTION, to_dict
from minidw.feed.evidence import Finding
from minidw.feed.feed import Feed

_SECTIONS = ("file", "columns", "values", "status")


def toml(file: str, base: Feed, findings: Mapping[str, Finding]) -> str:
    """A feed that reads the file, once every question in it is answered."""
    declared: dict[str, Any] = to_dict(base)
    questions = sum(finding.is_question for finding in findings.values())
    lines = [f"# What minidw inspect found of {_comment(file)}."]
    if questions:
        lines += [
            f'# Each "{QUESTION}" is a question that the file does not settle: answer it, or take it out.'
        ]
    about = declared.get("description") or "say what its revenue means"
    lines += [f"description = {value(about)}"]
    for section in _SECTIONS:
        held = dict(declared.get(section, {}))
        own = {
            finding.key.partition(".")[2]: finding
            for finding in findings.values()
            if finding.key.startswith(f"{section}.")
        }
        held |= {key: found.value for key, found in own.items() if found.value is not None}
        held |= {key: QUESTION for key, found in own.items() if found.is_question}
        if not held:
            continue
        lines += ["", f"[{section}]"]
        for key, declaring in held.items():
            if key in own and own[key].value != key:  # else it is called as we call it
                lines.append(f"# {_comment(own[key].why)}")
            lines.append(f"{_key(key)} = {value(declaring)}")
    return "\n".join(lines) + "\n"


def value(declaring: Any) -> str:
    """A value as TOML writes it."""
    match declaring:
        case bool():
            return "true" if declaring else "false"
        case int():
            return str(declaring)
        case dict():
            return (
                "{ " + ", ".join(f"{_key(key)} = {value(inner)}" for key, inner in declaring.items()) + " }"
            )
        case list() | tuple():
            return "[" + ", ".join(map(value, declaring)) + "]"
        case _:
            return json.dumps(str(declaring), ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else value(key)


def _comment(text: str) -> str:
    """A text on one line: TOML allows no control characters in a comment, the tab aside."""
    return "".join(character if character.isprintable() else " " for character in text)

"""YAML that was written by hand: one value a key, no aliases, and numbers as one reads them.

PyYAML follows YAML 1.1, in which 1e-6 is text, 010 is 8, 1:30 is 90 and 2020-01-01 is a date; here they are a
number, 10 as text, text and text. Aliases and merge keys, which can unfold into gigabytes, are refused.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from gpo.files import MAX_DEPTH, check_depth

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$")
_FLOAT = re.compile(
    r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_REPLACED = ("int", "float", "timestamp", "merge")


class _Loader(yaml.SafeLoader):
    """Safe, without aliases, and with each key once."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML declares it
        first: [(tag, form) for tag, form in found if tag.rpartition(":")[2] not in _REPLACED]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None,
                None,
                "aliases are not read; write the value out",
                self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {str(key.value)[:40]!r} stands twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str) -> Any:
    """What one YAML document says; ValueError, with the reason in one line, for anything else."""
    loader = None
    try:
        loader = _Loader(text)
        content = loader.get_single_data()
    except RecursionError:
        raise ValueError(f"brackets are nested more than {MAX_DEPTH} deep") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())[:300]) from None
    finally:
        if loader is not None:
            loader.dispose()
    check_depth(content)
    return content

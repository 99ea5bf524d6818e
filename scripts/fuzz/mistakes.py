"""Wrong command lines, made at random from the keys, types, ranges and choices of the composed config."""

from __future__ import annotations

import random
import string
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt
from omegaconf import DictConfig, OmegaConf

from vjo_train.config.compose import Composer
from vjo_train.config.signatures import Node, signature

BASES = (
    "",
    "experiment=shapes_all_tasks",
    "experiment=shapes_all_tasks merge=[]",
    "experiment=shapes_all_tasks merge=[panoptic]",
    "weighting=gradnorm optimizer=adamw",
    "weighting=mgda schedule=alternating lr_schedule=multistep",
    "sharing=adversarial backbone=timm",
    "sharing=cross_stitch heads=[classification,detection_faster_rcnn]",
    "dataset=voc2007 dataset.root=. weighting=meta",
)
"""What stands on the command line beside a mistake."""
OTHERS = {
    "vjo-eval": "run=run",
    "vjo-predict": "run=run source=picture.png output=out",
    "vjo-export": "run=run",
    "vjo-data": "summary",
    "vjo-report": "runs=run",
}
"""The other commands, with what each needs."""
WRONG = {
    int: ("ten", "2.5", "[1]", "{a:1}", "true", "1_x", "''", "nan", "1e3", "'3'"),
    float: ("much", "[0.1]", "{a:0.1}", "false", "nan", "''", "1e", "0,1", "'0.1'", "inf", "-inf", "1e999"),
    bool: ("ja", "1", "0", "[true]", "2.5", "''", "{on:true}", "'true'"),
    str: ("1", "2.5", "[a]", "{a:b}", "true"),
    list: ("text", "1", "2.5", "true", "{a:b}"),
    dict: ("text", "1", "2.5", "true", "[a]"),
}
"""Type -> what is written in its place."""
SYNTAX = (
    *("{key}=[1,", "{key}={{a:1", "{key}='x", '{key}="x', "{key}=a]", "{key}=a}}", "={key}", "{key}", "{key}:3"),
    *(
        "{key}=${{nothing}}",
        "{key}=${{a",
        "{key}=f(1)",
        "{key}=choice(",
        "{key}=1,2",
        "{key} =3",
        "--{key}=3",
        "-{key}",
    ),
    *("+{key}=[", "~{key}=", "++={key}", "{key}@x=3", "{key}==3", "{key}=,", "{key}=a:b:c d, e", "{key}=range(1,3)"),
)


@dataclass(frozen=True)
class Mistake:
    """A wrong command line.

    Attributes:
        kind: of the mistake.
        command: the command.
        words: its arguments.
        named: the answer must hold one of these.
    """

    kind: str
    command: str
    words: tuple[str, ...]
    named: tuple[str, ...]


@dataclass(frozen=True)
class Key:
    """A key of a composed config, with the type that its constructor gives it."""

    path: str
    type: Any

    @property
    def last(self) -> str:
        """Its own name, without those above it."""
        return self.path.rpartition(".")[2]


def misspelt(rng: random.Random, word: str) -> str:
    """One letter is missing, twice there, another one, or has changed places with the next."""
    place = rng.randrange(len(word))
    other = rng.choice(string.ascii_lowercase)
    start, end = word[:place], word[place + 1 :]
    return rng.choice(
        (start + end, start + 2 * word[place] + end, start + other + end, start + end[:1] + word[place] + end[1:])
    )


def keys(node: DictConfig, arguments: Any, path: str = "") -> Iterator[Key]:
    """The keys of a composed config that have a type."""
    for name in map(str, node):
        if name not in arguments or name == "hydra":
            continue
        yield (key := Key(f"{path}{name}", arguments[name].type))
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
            for inner, below in [(child, key.path), *((child._get_node(k), f"{key.path}.{k}") for k in child)]:
                if (
                    isinstance(inner, DictConfig)
                    and not inner._is_none()
                    and str(inner.get("_target_")).startswith("vjo_train.")
                ):
                    yield from keys(inner, signature(str(inner._target_)), f"{below}.")


def plain_type(kind: Any) -> tuple[Any, list[Any], bool]:
    """(the type without its limits, the limits, whether null is allowed); None as the type where it is not plain."""
    if get_origin(kind) is Annotated:
        inner, limits, null = plain_type(get_args(kind)[0])
        own = [
            one for limit in get_args(kind)[1:] for one in (limit if isinstance(limit, GroupedMetadata) else [limit])
        ]
        return inner, [*limits, *own], null
    if get_args(kind) and type(None) in get_args(kind):
        rest = [plain_type(arg) for arg in get_args(kind) if arg is not type(None)]
        return rest[0][0] if len(rest) == 1 else None, rest[0][1], True
    if get_origin(kind) is Literal:
        return Literal, list(get_args(kind)), None in get_args(kind)
    if kind in WRONG:
        return kind, [], False
    name = getattr(get_origin(kind), "__name__", "")
    known = {"Sequence": list, "list": list, "tuple": list, "Mapping": dict, "dict": dict}
    return known.get(name), [], get_origin(kind) is typing.Union


def outside(rng: random.Random, limits: Sequence[Any]) -> str | None:
    """A number just beyond or far beyond one of the limits."""
    bounds = []
    for limit in limits:
        match limit:
            case Gt(gt=bound):
                bounds += [bound, bound - 1, bound - 10**6]
            case Ge(ge=bound):
                bounds += [bound - 1, bound - 10**6]
            case Lt(lt=bound):
                bounds += [bound, bound + 1, bound + 10**9]
            case Le(le=bound):
                bounds += [bound + 1, bound + 10**9]
    return str(rng.choice(bounds)) if bounds else None


class Maker:
    """Makes mistakes for one base of `vjo-train`."""

    def __init__(self, base: str) -> None:
        self.words = tuple(base.split())
        self.composer = Composer("train")
        self.cfg = self.composer.compose(list(self.words))
        self.keys = list(keys(self.cfg, signature("vjo_train.config.schema.TrainConfig")))
        self.paths = {key.path for key in self.keys}
        self.plain = [key for key in self.keys if plain_type(key.type)[0] is not None]
        self.groups = [group for group in self.composer.groups if group not in ("experiment", "compare")]
        self.choices = {group: self.composer._loader.get_group_options(group) for group in self.composer.groups}

    def near_miss(self, rng: random.Random) -> tuple[str, str]:
        key = rng.choice(self.keys)
        parts = key.path.split(".")
        place = rng.randrange(len(parts))
        parts[place] = wrong = misspelt(rng, parts[place])
        path = ".".join(parts)
        if not wrong or path in self.paths or path in self.groups or not wrong.isidentifier():
            return self.near_miss(rng)
        return f"{rng.choice(('', '', '+', '++'))}{path}=1", wrong

    def unknown(self, rng: random.Random) -> tuple[str, str]:
        above = rng.choice([key.path for key in self.keys if key.type is Node] + [""])
        word = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 10)))
        return (
            f"{rng.choice(('', '+', '++'))}{above}{'.' if above else ''}{word}={rng.choice(('1', 'x', '[a]', 'null'))}",
            word,
        )

    def wrong_type(self, rng: random.Random) -> tuple[str, str]:
        key = rng.choice([key for key in self.plain if plain_type(key.type)[0] is not Literal])
        return f"{key.path}={rng.choice(WRONG[plain_type(key.type)[0]])}", key.last

    def out_of_range(self, rng: random.Random) -> tuple[str, str]:
        key = rng.choice(self.plain)
        kind, limits, _ = plain_type(key.type)
        value = outside(rng, limits) if kind in (int, float) else None
        return (f"{key.path}={value}", key.last) if value else self.out_of_range(rng)

    def wrong_literal(self, rng: random.Random) -> tuple[str, str]:
        key = rng.choice([key for key in self.plain if plain_type(key.type)[0] is Literal])
        allowed = plain_type(key.type)[1]
        value = rng.choice((misspelt(rng, str(rng.choice(allowed))), "3", "[a]", "true", "x"))
        return self.wrong_literal(rng) if value in map(str, allowed) or not value else (f"{key.path}={value}", key.last)

    def null(self, rng: random.Random) -> tuple[str, str]:
        key = rng.choice([key for key in self.plain if not plain_type(key.type)[2]])
        return f"{key.path}=null", key.last

    def wrong_choice(self, rng: random.Random) -> tuple[str, str]:
        group = rng.choice(self.groups)
        other = rng.choice([name for name in self.groups if name != group])
        value = rng.choice(
            (misspelt(rng, rng.choice(self.choices[group])), rng.choice(self.choices[other]), "none", "[]")
        )
        if value in self.choices[group] or not value or (value == "[]" and group in ("heads", "insight")):
            return self.wrong_choice(rng)
        return f"{group}={value}", group

    def wrong_group(self, rng: random.Random) -> tuple[str, str]:
        group = rng.choice(self.groups)
        wrong = misspelt(rng, group)
        if wrong in self.paths or not wrong.isidentifier():
            return self.wrong_group(rng)
        return f"{rng.choice(('', '', '+'))}{wrong}={rng.choice(self.choices[group])}", wrong

    def syntax(self, rng: random.Random) -> tuple[str, str]:
        key = rng.choice([key for key in self.plain if plain_type(key.type)[0] in (int, float)])
        return rng.choice(SYNTAX).format(key=key.path), key.last

    def deleted(self, rng: random.Random) -> tuple[str, str]:
        required = [key for key in self.keys if "." not in key.path or signature_requires(self, key)]
        optional = ("compare", "single", "reference", "logger", "insight", "merge")
        key = rng.choice([key for key in required if key.path not in optional])
        return f"~{key.path}", key.last

    def target(self, rng: random.Random) -> tuple[str, str]:
        key = rng.choice([key for key in self.keys if key.type is Node and key.path != "heads"])
        old = str(OmegaConf.select(self.cfg, f"{key.path}._target_"))
        if not old.startswith("vjo_train."):
            return self.target(rng)
        head, _, name = old.rpartition(".")
        new = rng.choice((f"{head}.{misspelt(rng, name)}", f"vjo_train.{name}", "nothing", "", "3", "[a]", "null"))
        return (f"{key.path}._target_={new}", "_target_") if new != old else self.target(rng)

    def path(self, rng: random.Random) -> tuple[str, str]:
        drawn = " dataset.generate=null" if "generate" in self.cfg.dataset else ""
        return rng.choice(
            (
                (f"dataset.root=nowhere{drawn}", "dataset.root"),
                ("backbone.weights=none.pth", "backbone.weights"),
                ("trainer.resume=nowhere", "trainer.resume"),
                ("hydra.run.dir=/proc/x", "hydra.run.dir"),
                ("hydra.run.dir=picture.png/x", "hydra.run.dir"),
                ("dataset=voc", "dataset."),
                ("dataset=voc dataset.root=nowhere dataset.classes=[a]", "dataset.root"),
                ("dataset=voc dataset.root=picture.png dataset.classes=[a]", "dataset.root"),
                ("dataset=voc dataset.root=.", "dataset.classes"),
                ("sharing=cross_stitch sharing.columns_from={detection:nowhere}", "columns_from"),
            )
        )

    def mistake(self, rng: random.Random) -> Mistake:
        """One of any kind; sometimes among the values of a sweep."""
        makers: list[Callable[[random.Random], tuple[str, str]]] = [
            *(self.near_miss, self.near_miss, self.unknown, self.wrong_type, self.wrong_type, self.out_of_range),
            *(self.wrong_literal, self.null, self.wrong_choice, self.wrong_group, self.syntax, self.deleted),
            *(self.target, self.path),
        ]
        make = rng.choice(makers)
        text, named = make(rng)
        words = (*self.words, *(text.split() if make == self.path else [text]))
        # A sweep does not look at the first, and what is no value may be several.
        if rng.random() < 0.1 and not text.startswith("hydra.run.dir") and make != self.syntax:
            words = ("-m", *words, "seed=1,2")
        return Mistake(make.__name__.replace("_", " "), "vjo-train", words, (named, text))


def signature_requires(maker: Maker, key: Key) -> bool:
    """Whether the constructor above a key has no default for it."""
    above, _, name = key.path.rpartition(".")
    target = str(OmegaConf.select(maker.cfg, f"{above}._target_"))
    return target.startswith("vjo_train.") and signature(target)[name].required


def of_others(rng: random.Random, command: str) -> Mistake:
    """A mistake for one of the other commands."""
    words = OTHERS[command].split()
    of_run = command in ("vjo-eval", "vjo-predict", "vjo-export")
    inherited = signature("vjo_train.config.schema.TrainConfig") if of_run else {}
    all_keys = signature(f"vjo_train.config.schema.{command.removeprefix('vjo-').capitalize()}Config")
    own = {key: argument.type for key, argument in all_keys.items() if key not in inherited}
    own = {key: kind for key, kind in own.items() if plain_type(kind)[0] is not None}
    key = rng.choice(list(own))
    kind, limits, null = plain_type(own[key])
    texts = [(f"{key}={{", key), ("--nonsense", "--nonsense"), ("nonsense=1", "nonsense"), (f"{key}.x=1", key)]
    wrong = misspelt(rng, key)
    if wrong.isidentifier() and wrong not in own:
        texts.append((f"{wrong}=1", wrong))
    if kind is Literal:
        texts.append((f"{key}=nonsense", key))
    elif key not in ("run", "runs", "model"):
        texts.append((f"{key}={rng.choice(WRONG[kind])}", key))
        if value := outside(rng, limits):
            texts.append((f"{key}={value}", key))
    if not null and key not in ("run", "runs"):
        texts.append((f"{key}=null", key))
    if of_run:
        texts += [
            ("run=nowhere", "run"),
            ("checkpoint=none.ckpt", "checkpoint"),
            ("run=null", "run"),
            ("run=[a]", "run"),
        ]
        texts += [
            ("dataset.batch_size=x", "batch_size"),
            ("experiment=voc_dwa", "experiment"),
            ("weighting=dva", "dva"),
        ]
    if command == "vjo-data":
        texts += [
            ("dataset=vok", "vok"),
            ("dataset.root=nowhere dataset.generate=null", "dataset.root"),
            ("weighting=dwa", "weighting"),
        ]
    text, named = rng.choice(texts)
    words = [word for word in words if not text.startswith(word.split("=")[0] + "=")]
    return Mistake("other command", command, (*words, *text.split()), (named, text))

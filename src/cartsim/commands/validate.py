"""Why: a reviewer who doubts the model asks one thing: what did you say about cohorts that were published, and were you
right? `cartsim validate` answers row by row, and then in a few numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartsim.errors import InvalidInput

if TYPE_CHECKING:
    from cartsim.store.place import Place
    from cartsim.validate.published import Asked
    from cartsim.validate.score import Row

#: What `--only` takes: tiers, and a word for both tiers of predictions.
ONLY: Mapping[str, tuple[str, ...]] = {
    "fit": ("fit",),
    "predict": ("predict_same", "predict_new"),
    "predict_same": ("predict_same",),
    "predict_new": ("predict_new",),
    "recalled": ("recalled",),
}
DRAWS, SUBJECTS, SEED = 200, 2000, 20261122
STAGE = "simulating published cohorts"


@dataclass(frozen=True)
class Found:
    """What a validation found: `said` goes into score.json, `table` is the declared table `validation`."""

    place: "Place | None"
    rows: list["Row"]
    said: dict[str, Any]
    table: Any
    files: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        from cartsim.validate.published import plain

        out = None if self.place is None else self.place.text
        told = {"out": out, "files": self.files, **self.said, "rows": self.table.to_pylist()}
        return plain(told)

    def print(self) -> None:
        """The report on stdout."""
        from cartsim.commands.terminal import make_console

        console = make_console()
        with console.capture() as captured:
            for part in _parts(self, console.width):
                if isinstance(part, str):
                    console.print(part, soft_wrap=True, markup=False)
                else:
                    console.print(part)
        # a table pads its lines to the right, which is of no use in a file
        print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


def parse_cohorts(given: Sequence[str]) -> dict[str, Path]:
    """`["id=scenario.yaml"]` -> `{"id": Path}`. Raises `InvalidInput`."""
    cohorts: dict[str, Path] = {}
    for text in given:
        name, sign, path = text.partition("=")
        if not sign or not name.strip() or not path.strip():
            raise InvalidInput("--cohort takes ID=SCENARIO", where=text, mend="--cohort mine=mine.yaml")
        if name.strip() in cohorts:
            raise InvalidInput(
                "--cohort names the same cohort twice", where=name.strip(), mend="keep one of the two"
            )
        cohorts[name.strip()] = Path(path.strip())
    return cohorts


def parse_only(words: Sequence[str]) -> tuple[str, ...] | None:
    """Tiers asked for, None for all. Raises `InvalidInput`."""
    from cartsim.policy.problems import nearest

    for word in words:
        if word not in ONLY:
            mend = nearest(word, ONLY) or f"one of: {', '.join(ONLY)}"
            raise InvalidInput(f"there is no tier `{word}`", where="--only", mend=mend)
    return tuple(dict.fromkeys(tier for word in words for tier in ONLY[word])) or None


def validate(
    targets: str | Path | None,
    own: Mapping[str, Path],
    asked: "Asked",
    out: str | Path | None,
    *,
    workers: int = 0,
    tell: Callable[[Any], None] | None = None,
) -> Found:
    """Predict, score, and write into `out` (nothing where it is None).

    Raises `InvalidInput` for targets, cohorts or numbers that do not hold, `Unreachable` for a place that cannot be
    written; the place is tried before anything is simulated.
    """
    from cartsim.calibrate.cohorts import load_cohorts
    from cartsim.evidence.targets import ACTIVE, load_targets
    from cartsim.results import Progress
    from cartsim.store.place import Place
    from cartsim.validate.predict import predict
    from cartsim.validate.published import provenance_of, publish, question, validation_table
    from cartsim.validate.score import make_rows
    from cartsim.validate.summary import make_score

    _check_numbers(asked.draws, asked.subjects, workers)
    target_set = load_targets(targets)
    chosen = target_set.where(asked.only or ACTIVE)
    if not chosen:
        raise InvalidInput(
            "no row is left to validate",
            where=target_set.source,
            why=f"none has the use {' or '.join(asked.only or ACTIVE)}",
            mend="another --only",
        )
    cohorts = load_cohorts(target_set, own)
    place = None if out is None else Place.of(out).reach()
    predictions = predict(
        chosen,
        cohorts,
        draws=asked.draws,
        subjects=asked.subjects,
        seed=asked.seed,
        workers=workers,
        tell=None if tell is None else lambda done, total: tell(Progress(STAGE, done, total)),
    )
    rows = make_rows(predictions, cohorts, target_set.where("fit"))
    table = validation_table(rows)
    said = {"asked": question(asked, target_set, cohorts), "score": make_score(rows)}
    files = [] if place is None else publish(place, table, said, provenance_of(asked, target_set, cohorts))
    return Found(place, rows, said, table, files)


def answer(
    targets: Path | None,
    own: Sequence[str],
    out: str,
    only: Sequence[str],
    *,
    draws: int,
    subjects: int,
    seed: int,
    workers: int,
    markdown: Path | None,
    quiet: bool,
) -> Found:
    """What `cartsim validate` does with its options; see `validate` for what is raised."""
    from cartsim.commands.progress import progress_bar
    from cartsim.store.place import Place
    from cartsim.validate.published import Asked
    from cartsim.validate.text import markdown as as_markdown

    asked, cohorts = Asked(seed, draws, subjects, parse_only(only)), parse_cohorts(own)
    with progress_bar(quiet) as progress:
        found = validate(targets, cohorts, asked, out, workers=workers, tell=progress)
    if markdown is not None:
        text = as_markdown(found.rows, found.said, _command(targets, own, only, asked, markdown))
        Place.of(markdown.parent).reach().write_text(markdown.name, text)
    return found


def answer_claims(
    out: str, subjects: int | None, draws: int | None, seed: int, workers: int, as_json: bool, quiet: bool
) -> list[dict[str, Any]]:
    """`--claims`: rows as plain data; printed unless JSON is wanted."""
    from cartsim.claims.claims import check_claims
    from cartsim.commands.answers import check, print_claims
    from cartsim.commands.progress import progress_bar
    from cartsim.store.place import Place

    _check_numbers(draws or 0, SUBJECTS if subjects is None else subjects, workers, least_draws=0)
    place = Place.of(out).reach()
    with progress_bar(quiet) as progress:
        rows = check("claims", check_claims, place, subjects, draws, seed, workers, progress)
    if not as_json:
        print_claims(rows, place.where("claims.json"))
    return rows


def answer_face(
    out: str, subjects: int | None, seed: int, workers: int, as_json: bool, quiet: bool
) -> list[dict[str, Any]]:
    """`--face`: rows as plain data; printed unless JSON is wanted."""
    from cartsim.claims.face import check_face
    from cartsim.commands.answers import check, print_face
    from cartsim.commands.progress import progress_bar
    from cartsim.store.place import Place

    _check_numbers(0, SUBJECTS if subjects is None else subjects, workers, least_draws=0)
    place = Place.of(out).reach()
    with progress_bar(quiet) as progress:
        rows = check("face", check_face, place, subjects, None, seed, workers, progress)
    if not as_json:
        print_face(rows, place.where("face.json"))
    return rows


def _command(
    targets: Path | None, own: Sequence[str], only: Sequence[str], asked: "Asked", markdown: Path
) -> str:
    """The command that makes the same report again; what is left to defaults is left out."""
    import shlex

    words = ["cartsim", "validate"]
    words += [] if targets is None else ["--targets", str(targets)]
    words += [word for one in own for word in ("--cohort", one)]
    words += [word for one in only for word in ("--only", one)]
    given = (
        ("draws", asked.draws, DRAWS),
        ("subjects", asked.subjects, SUBJECTS),
        ("seed", asked.seed, SEED),
    )
    words += [word for name, value, usual in given if value != usual for word in (f"--{name}", str(value))]
    return shlex.join([*words, "--markdown", str(markdown)])


def _parts(found: Found, width: int) -> Iterator[Any]:
    from cartsim.commands.terminal import make_table, wrap
    from cartsim.terms import DISCLAIMER
    from cartsim.validate.text import (
        NOTES,
        TITLE,
        by_cohort,
        opening,
        row_cells,
        row_headers,
        score_lines,
        set_lines,
    )

    yield TITLE
    yield wrap(opening(found.said["asked"]), width)
    for heading, rows in by_cohort(found.rows):
        yield ""
        yield wrap(heading, width)
        table = make_table(row_headers(), right=(1,))
        for row in rows:
            table.add_row(*row_cells(row))
        yield table
    for headers, lines in (score_lines(found.said["score"]), set_lines(found.said["score"])):
        yield ""
        table = make_table(headers, right=range(1, len(headers)))
        for line in lines:
            table.add_row(*line)
        yield table
    yield ""
    for note in NOTES:
        yield wrap(note, width)
    yield DISCLAIMER
    if found.place is not None:
        yield f"in {found.place.text}: {', '.join(found.files)}"


def _check_numbers(draws: int, subjects: int, workers: int, least_draws: int = 2) -> None:
    wanted = (("--draws", draws, least_draws), ("--subjects", subjects, 10), ("--workers", workers, 0))
    for name, value, least in wanted:
        if value < least:
            raise InvalidInput(f"{name} is {value}", mend=f"{least} or more")

"""xdr-explore: opens a finished evaluation by the settings that it kept, and serves its page.

    xdr-explore OUTPUT_DIR [--port PORT]

In a checkout: python -m conf.explore OUTPUT_DIR.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from xdr.errors import ArtefactError, UserError, first_line, in_one_sentence, print_in_any_terminal

if TYPE_CHECKING:
    from xdr.explorer.finished import FinishedSettings
    from xdr.explorer.server import ExplorerServer

PORT = 8077
KEPT_SETTINGS = Path(".hydra") / "config.yaml"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="xdr-explore",
        description="Shows a finished evaluation in the browser: rankings of its questions and of new ones, side by side, at "
        "any alpha. The page is for this machine alone.",
    )
    parser.add_argument("output_dir", metavar="OUTPUT_DIR", type=Path, help="the output folder of an evaluation")
    parser.add_argument("--port", type=_port, default=PORT, help=f"where the page is ({PORT}); a free one if it is taken")
    given = parser.parse_args(arguments)
    print_in_any_terminal()
    try:
        server = open_server(given.output_dir.expanduser(), given.port)
        if given.port not in (0, server.server_port):
            print(f"Port {given.port} cannot be used, so another one is.")
        print(f"Open {server.url} in a browser. Ctrl-C ends it.", flush=True)
        server.serve_forever()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("\nThe explorer has ended.")


def open_server(folder: Path, port: int) -> "ExplorerServer":
    """The server of the folder's page, which listens, and whose encoder is loading."""
    settings = kept_settings(folder)  # before the imports, which take seconds
    print(f"Reading {folder} ...", flush=True)
    from transformers.utils.logging import disable_progress_bar

    from xdr.explorer.answers import Answers
    from xdr.explorer.finished import open_finished
    from xdr.explorer.query_vectors import QueryVectors
    from xdr.explorer.server import ExplorerServer

    disable_progress_bar()  # of weights, which would come after the page's address
    finished = open_finished(folder, settings)
    vectors = QueryVectors(finished.load_encoder, [query.text for query in finished.qrels.queries])
    server = ExplorerServer(Answers(finished, vectors), port)
    vectors.start()
    return server


def kept_settings(folder: Path) -> "FinishedSettings":
    """The settings with which the evaluation in `folder` was started."""
    from omegaconf import DictConfig, OmegaConf

    from conf import entry, targets
    from xdr.explorer.finished import FinishedSettings, require_finished

    require_finished(folder)
    if not (folder / KEPT_SETTINGS).is_file():
        raise UserError(f"{folder} must have the settings of its evaluation, and {KEPT_SETTINGS} is gone. Run it again")
    problem = f"{folder / KEPT_SETTINGS} is damaged"
    with in_one_sentence(lambda error: ArtefactError(f"{problem}: {first_line(error)}. Run the evaluation again")):
        settings = OmegaConf.load(folder / KEPT_SETTINGS)
        assert isinstance(settings, DictConfig)
        if settings.get("stage") not in ("score", "mine") or settings.get("checkpoint") is None:
            raise UserError(
                f"OUTPUT_DIR must be the folder of an evaluation, got {folder}, where stage={settings.get('stage')} ran last. "
                "Run the evaluation again"
            )
        return FinishedSettings(
            entry.build_benchmark(settings),
            str(settings.checkpoint),
            entry.build(settings, "augmentation"),
            entry.build(settings, "evaluation"),
            partial(targets.locate, plugins=tuple(settings.plugins)),
        )


def _port(word: str) -> int:
    if not word.isdecimal() or int(word) > 65_535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, got {word}")
    return int(word)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Training on a card: in chunks, resumed after a kill, on two processes, without enough memory, and its speed."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.gpu_parts import Figure, Machine
from benchmarks.gpu_parts.encoders import encoder, texts
from benchmarks.gpu_parts.measuring import peak_memory, ratio, spread
from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.texts import Texts

ROOT = Path(__file__).parents[2]
PASSAGES_PER_QUERY = 8
SMALL = (
    "model.hidden=64",
    "model.layers=2",
    "model.dropout=0",
    "data.batches.size=64",
    "trainer.max_epochs=2",
    "callbacks.validation.largest_pool=0",
    "callbacks.checkpoints.every_num_steps=10",
    "trainer.enable_progress_bar=false",
    "+trainer.deterministic=warn",
)
WITH_GLOO = """
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
StrategyRegistry.register("ddp_gloo", DDPStrategy, process_group_backend="gloo")
"""
LONGEST_WAIT = 90
"""Seconds of one training on a card."""


def chunks(machine: Machine) -> Iterator[Figure]:
    """The same loss and gradient, and less memory."""
    for dtype, most in ((torch.float32, 1e-4), (torch.bfloat16, 5e-2)):
        plain, chunked = (_step(machine, dtype, chunk) for chunk in (0, 16 if machine.tiny else 64))
        gradients, memory = [], []
        for step, model in (plain, chunked):
            memory.append(peak_memory(step, machine.device))
            gradients.append(_gradient(model))
        error = float((gradients[1] - gradients[0]).norm() / gradients[0].norm())
        name = str(dtype).removeprefix("torch.")
        yield Figure(f"{name}: relative difference of the gradient", f"{error:.2g}", f"at most {most:g}", error <= most)
        yield Figure(f"{name}: memory, plain and in chunks", f"{memory[0]}, {memory[1]}")


def _step(machine: Machine, dtype: torch.dtype, chunk: int) -> tuple[Callable[[], None], BiEncoder]:
    sizes = {"hidden": 64, "layers": 2} if machine.tiny else {"hidden": 768, "layers": 12}
    number = 16 if machine.tiny else 128
    model = BiEncoder(encoder("bert", "packed", "first", **sizes).to(machine.device, dtype))
    queries = _on(machine.device, texts(number, 5, 20))
    passages = _on(machine.device, texts(number * PASSAGES_PER_QUERY, 60, 128))

    def step() -> None:
        queries_QD, passages_PD = model(queries, passages, chunk)
        targets_Q = PASSAGES_PER_QUERY * torch.arange(number, device=queries_QD.device)
        torch.autograd.backward(F.cross_entropy(queries_QD.float() @ passages_PD.float().T, targets_Q))

    return step, model


def _on(device: str, some: Texts) -> Texts:
    return Texts(*(part.to(device) for part in some))


def _gradient(model: torch.nn.Module) -> Tensor:
    return torch.cat([p.grad.float().cpu().flatten() for p in model.parameters() if p.grad is not None])


def speed(machine: Machine) -> Iterator[Figure]:
    """128 queries with 8 passages each, mBERT's size with random weights, bf16-mixed, beside sentence-transformers' trainer."""
    from benchmarks.training import ours, silence_libraries, texts, theirs
    from xdr.encoders.small import build_small_bert

    silence_libraries()
    batch, steps, warm_up = (8, 2, 1) if machine.tiny else (128, 10, 3)
    sizes = {"hidden": 64, "layers": 2} if machine.tiny else {"hidden": 768, "layers": 12}
    pairs = texts(None)[: batch * (steps + warm_up)]
    on_card = machine.device == "cuda"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = build_small_bert([text for pair in pairs for text in pair], folder / "model", seed=0, **sizes)
        where: dict[str, Any] = {
            "accelerator": "gpu" if on_card else "cpu",
            "precision": "bf16-mixed" if on_card else "32-true",
        }
        rest: dict[str, Any] = {"steps": steps + warm_up, "folder": folder, "passages": PASSAGES_PER_QUERY}
        ways: dict[str, Callable[[], list[float]]] = {
            "xdr": lambda: ours(pairs, model, batch, 0, **rest, **where),
            "xdr, in chunks of 128 texts": lambda: ours(pairs, model, batch, 128, **rest, **where),
            "sentence-transformers": lambda: theirs(pairs, model, batch, **rest, device=machine.device, bf16=on_card),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(1 if machine.tiny else 3):
            for way in list(ways)[:: 1 if number % 2 else -1]:
                seconds[way].append(statistics.median(ways[way]()[warm_up:]))
        for way, values in seconds.items():
            yield Figure(f"{way}: a step", f"{spread(values)} s")
            yield Figure(f"{way}: memory", peak_memory(ways[way], machine.device))
        yield ratio("times as fast, plain", seconds["sentence-transformers"], seconds["xdr"], 1.3)


def resumed(machine: Machine) -> Iterator[Figure]:
    """Killed with SIGKILL after the first checkpoint, and started again, beside two runs that nobody killed: these differ, too,
    if a kernel is not deterministic."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, again, killed = (folder / part for part in ("whole", "again", "killed"))
        for run in (whole, again):
            _succeed(_train(run, machine), machine)
        process = _train(killed, machine)
        while process.poll() is None and not list(killed.glob("checkpoints/step-*.ckpt")):
            time.sleep(0.05)
        process.kill()
        process.wait()
        _succeed(_train(killed, machine), machine)
        between, after = _largest_difference(whole, again), _largest_difference(whole, killed)
        yield Figure("largest difference of a weight between two whole runs", f"{between:.3g}")
        yield Figure("between a whole run and one that was killed", f"{after:.3g}", f"at most {between:.3g}", after <= between)


def two_processes(machine: Machine) -> Iterator[Figure]:
    """On one card, as two nodes. NCCL may refuse that; gloo does not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _succeed(_train(folder / "one", machine), machine)
        for backend, strategy in (("NCCL", "ddp"), ("gloo", "ddp_gloo")):
            if backend == "NCCL" and machine.device == "cpu":
                continue
            run = folder / backend
            nodes = ("trainer.num_nodes=2", "trainer.devices=1", f"trainer.strategy={strategy}")
            port = str(_free_port())
            processes = [_train(run, machine, *nodes, node=node, port=port, before=WITH_GLOO) for node in (0, 1)]
            failed = [process for process in processes if not _ends_well(process, machine)]
            yield Figure(
                f"two processes, {backend}", "failed" if failed else "works", "" if backend == "NCCL" else "works", not failed
            )
            if not failed:
                one, two = (torch.cat([value.flatten() for value in _weights(path).values()]) for path in (folder / "one", run))
                difference = float((two - one).norm() / one.norm())
                what = f"two processes, {backend}: relative difference of the weights to those of one process"
                yield Figure(what, f"{difference:.2g}", "at most .01", difference <= 0.01)


def out_of_memory(machine: Machine) -> Iterator[Figure]:
    """A batch that cannot fit, in a process that may use a fiftieth of the card."""
    if machine.device == "cpu":
        yield Figure("out of memory", "needs a card")
        return
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        limit = "import torch; torch.cuda.set_per_process_memory_fraction(0.02)"
        process = _train(run, machine, "model.hidden=768", "model.layers=12", "data.batches.size=1024", before=limit)
        process.wait()
        last = (Path(name) / "run.log").read_text().strip().splitlines()[-1]
        holds = process.returncode == 1 and "does not fit into the device's memory" in last
        yield Figure("the last line of a training without enough memory", last[:160], "one sentence with the remedy", holds)


def _train(
    folder: Path, machine: Machine, *more: str, node: int | None = None, port: str = "", before: str = ""
) -> "subprocess.Popen[bytes]":
    """Starts a training. `before` is Python code that its process runs first."""
    accelerator = f"trainer.accelerator={'gpu' if machine.device == 'cuda' else 'cpu'}"
    start = [sys.executable, "-c", f"{before}\nimport runpy\nrunpy.run_path('train.py', run_name='__main__')"]
    nodes = {} if node is None else {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": str(node), "LOCAL_RANK": "0"}
    environment = {**os.environ, **nodes, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return subprocess.Popen(
            [*start, *SMALL, accelerator, *more, f"output_dir={folder}"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )


def _ends_well(process: "subprocess.Popen[bytes]", machine: Machine) -> bool:
    try:
        return process.wait(LONGEST_WAIT * (1 if machine.device == "cuda" else 10)) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


def _succeed(process: "subprocess.Popen[bytes]", machine: Machine) -> None:
    if not _ends_well(process, machine):
        raise RuntimeError(f"training failed with status {process.returncode}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _largest_difference(one: Path, other: Path) -> float:
    weights = _weights(other)
    return max(float((value - weights[name]).abs().max()) for name, value in _weights(one).items())


def _weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "encoder" / "model.safetensors")

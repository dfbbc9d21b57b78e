"""The same trainings on stock Lightning: a plain module, a shuffled loader, `ModelCheckpoint`, Lightning's own DDP.

It shows that the faults of the suite are real: what the engine survives, stock Lightning mostly does not. It reads the
few keys of the run file that have a meaning here, by their own names, and takes the rest for granted.
"""

from __future__ import annotations

import csv
import os
import socket
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytorch_lightning as pl
import torch
import yaml
from engine_road import RUN
from fault_parts import ToyFaults, ToyTracker, ToyWitness, strike
from forked import fork, forked
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
from toy_options import ToyDataOptions
from toy_parts import ToyData

__all__ = ["FAILS", "UNTRIED", "StockRoad"]

# What stock Lightning 2.6 does where the engine keeps its promise. The other rows it passes, but for those not tried.
UNTRIED = {"F17": "not tried: it needs a job of SLURM"}
FAILS = {
    "F01": "other weights: a shuffled loader starts anew, dropout and augmentation draw other numbers",
    "F02": "other weights, as F01",
    "F03": "other weights, as F01",
    "F04": "other weights, and the gradients accumulated so far are lost",
    "F05": "other weights: validations that were due are skipped",
    "F06": "other weights, as F01",
    "F07": "the only checkpoint is copied over in place: half a file is left",
    "F08": "the old checkpoint is truncated before the new one fits",
    "F10": "a flipped bit loads",
    "F11": "resuming ends with a traceback; there is no older file to fall back to",
    "F12": "no checkpoint is saved",
    "F13": "no checkpoint is saved",
    "F14": "hangs",
    "F15": "hangs",
    "F16": "no checkpoint is saved",
    "F18": "trains on to the end, and saves NaN",
    "F23": "hangs",
    "F25": "hangs",
    "F28": "windows are lost and repeated, and weights differ",
    "F29": "windows are lost and repeated, and weights differ",
    "F30": "windows are lost and repeated, and weights differ",
    "F31": "trains on with another batch size",
    "F32": "training ends with the tracker's error",
    "F33": "training ends with the tracker's error",
    "F34": "refused, but neither the file nor the object is named",
    "F35": "the address is opened",
    "F36": "NaN weights and a missing optimizer state load; the others end with a traceback",
    "F37": "most are taken, or end with a traceback",
    "F38": "sys.exit of a package ends the process with exit code 0",
    "F39": "no checkpoint is saved",
}


class Rows(pl.LightningModule):
    """Two layers with dropout between them, and noise on the inputs."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.shared, self.head = nn.Linear(5, 6), nn.Linear(6, 4)
        self.dropout = nn.Dropout(config["model"]["dropout"])

    def forward(self, inputs):
        return self.head(self.dropout(torch.tanh(self.shared(inputs))))

    def loss(self, inputs, targets):
        loss = {"y": (self(inputs) - targets).square().mean()}
        change = strike("loss")
        loss = loss if change is None else change(loss)
        return None if loss is None else loss["y"]

    def training_step(self, batch, batch_idx):
        _, inputs, targets = batch
        strike("noise")
        loss = self.loss(inputs + 0.1 * torch.randn_like(inputs), targets)
        if loss is not None:
            self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", (self(batch[1]) - batch[2]).square().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.config["optimizer"]["lr"])


class StockRoad:
    """Trains in folders below `home`, with the interface of `engine_road.EngineRoad`."""

    stock = True

    def __init__(self, home: Path, text: str = RUN, plugins=()) -> None:
        self.home = home
        (home / "run.yaml").write_text(text)

    def train(self, folder="run", *sets, resume=False, processes=1, before=None, limit=15.0, meanwhile=None):
        """Train to an end; `before` is called in the child, before training."""

        def work():
            os.chdir(self.home)
            if before is not None:
                before()
            one = partial(_train, _config(sets), Path(folder), resume=resume, processes=processes)
            return one() if processes == 1 else _side_by_side(one, processes)

        return forked(work, self.home, limit=min(limit, 15.0), meanwhile=meanwhile)

    def open(self, folder, checkpoint, before=None):
        """Go on from a checkpoint that is named."""

        def work():
            os.chdir(self.home)
            if before is not None:
                before()
            return _train(_config(()), Path(folder), resume=checkpoint, processes=1)

        return forked(work, self.home, limit=15.0)

    def checkpoints(self, folder="run"):
        """Folder of the checkpoints of a run."""
        return self.home / folder / "checkpoints"

    def newest(self, folder="run"):
        """The last checkpoint."""
        return torch.load(self.checkpoints(folder) / "last.ckpt", weights_only=True)

    def step(self, folder="run"):
        """Optimizer steps behind the last checkpoint."""
        return self.newest(folder)["global_step"]

    def weights(self, folder="run"):
        """Weights of the last checkpoint."""
        return self.newest(folder)["state_dict"]

    state = weights

    def logged(self, folder="run"):
        """Steps whose loss stands in the file of Lightning's own logger, counted from 1."""
        with (self.home / folder / "csv" / "version_0" / "metrics.csv").open() as file:
            return [int(row["step"]) + 1 for row in csv.DictReader(file) if row.get("train/loss")]


def _config(sets):
    config = yaml.safe_load(Path("run.yaml").read_text())
    for text in sets:
        key, _, value = text.partition("=")
        *path, last = key.split(".")
        block = config
        for name in path:
            block = block.setdefault(name, {})
        block[last] = yaml.safe_load(value)
    return config


def _side_by_side(one, processes):
    """Start one process per rank, as a cluster would, and wait for all: the code of the first rank that failed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def rank(number):
        shared = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1"}
        own = {"RANK": number, "LOCAL_RANK": number, "GROUP_RANK": 0, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in (shared | own).items()})
        return one()

    workers = [fork(partial(rank, number)) for number in range(processes)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]
    print("exit codes:", *codes)
    return 0 if not all(codes) else next(code if code > 0 else 1 for code in codes if code)


def _train(config, folder, *, resume, processes):
    warnings.simplefilter("ignore")
    pl.seed_everything(config["seed"])
    data = ToyData(ToyDataOptions(num_groups=1, num_items=90, masked=0.0), SimpleNamespace(seed=5, state=None))
    train, validation = (
        TensorDataset(torch.arange(source.num_items), torch.from_numpy(source.inputs), torch.from_numpy(source.targets))
        for source in (data.sources(split, 0)[0] for split in ("train", "validation"))
    )
    size, weighted = config["sampler"]["batch_size"], config["sampler"]["name"] == "toy_weighted"
    sampler = WeightedRandomSampler(1.0 + torch.arange(90) % 5, num_samples=96) if weighted else None
    loader = DataLoader(
        train,
        size // processes,
        shuffle=not weighted,
        sampler=sampler,
        num_workers=config["loader"]["prefetch"],
    )
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        plugins=[TorchElasticEnvironment()] if processes > 1 else None,
        max_epochs=config["trainer"]["max_epochs"],
        accumulate_grad_batches=config["optimizer"].get("accumulate", 1),
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        logger=[CSVLogger(folder, name="csv", version=0), ToyTracker()],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(folder),
        callbacks=[
            ToyWitness(folder=folder),
            ToyFaults(),
            ModelCheckpoint(
                checkpoints,
                filename="last",
                enable_version_counter=False,
                every_n_train_steps=config["checkpoint"]["every_n_steps"],
            ),
        ],
    )
    last = resume if isinstance(resume, str) else checkpoints / "last.ckpt"
    trainer.fit(
        Rows(config),
        loader,
        DataLoader(validation, 7),
        ckpt_path=str(last) if resume and (isinstance(last, str) or last.exists()) else None,
        weights_only=True,
    )
    return 0

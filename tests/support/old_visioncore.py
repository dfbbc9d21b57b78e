"""VisionCore's model, written from its formulas in plain functions: what imported weights are compared with.

Windows are (B, C, T, H, W), newest frame first, everything in float64. Names of weights are VisionCore's, without the
list of sessions: ``adapter.*`` and ``readout.*`` are those of one session.
"""

from __future__ import annotations

import torch
from torch.nn import functional

ACTS = {
    "none": lambda x: x,
    "relu": torch.relu,
    "gelu": functional.gelu,
    "splitrelu": lambda x: torch.cat([x.relu(), (-x).relu()], dim=1),
}


def softplus(x):
    return torch.log1p(torch.exp(x))


def blurred(picture, sigma):
    """Loops over the taps of the two passes, zeros beyond the border: pictures (..., H, W) -> (..., H - 1, W - 1)."""
    if sigma < 1e-3:
        return picture
    k = round(6 * float(sigma)) | 1
    taps = list(range(-(k + 1) // 2, (k + 1) // 2))
    weights = torch.exp(-0.5 * (torch.tensor(taps, dtype=torch.float64) / sigma) ** 2)
    weights = weights / weights.sum()
    for axis in (-2, -1):
        picture = picture.movedim(axis, -1)
        size = picture.shape[-1]
        out = picture.new_zeros(*picture.shape[:-1], size - 1)
        for pixel in range(size - 1):
            for tap, weight in zip(taps, weights, strict=True):
                if 0 <= pixel + 1 + tap < size:
                    out[..., pixel] += weight * picture[..., pixel + 1 + tap]
        picture = out.movedim(-1, axis)
    return picture


def adapted(weights, params, windows):
    if params["transform"] == "scale":
        scale = softplus(weights["adapter.log_scale"])
        matrix = torch.tensor([[scale[0], 0, 0], [0, scale[1], 0]], dtype=torch.float64)
        least = scale.min()
    else:
        matrix = weights["adapter.affine"]
        least = torch.linalg.svdvals(matrix[:, :2]).min()
    floor = 0.44 * (1 / least - 1) if least < 1 else torch.tensor(0.0, dtype=torch.float64)
    sigma = torch.sqrt(floor**2 + softplus(weights["adapter.log_sigma"]) ** 2)
    picture = blurred(windows, sigma)
    height, width = picture.shape[-2:]
    grid = params["grid_size"]
    out = windows.new_zeros(*windows.shape[:3], grid, grid)
    line = torch.linspace(-1, 1, grid, dtype=torch.float64)
    for row in range(grid):
        for column in range(grid):
            x, y = matrix @ torch.stack([line[column], line[row], torch.tensor(1.0, dtype=torch.float64)])
            px, py = (float(x) + 1) / 2 * (width - 1), (float(y) + 1) / 2 * (height - 1)
            for r in range(height):
                for c in range(width):
                    share = max(0.0, 1 - abs(px - c)) * max(0.0, 1 - abs(py - r))
                    if share:
                        out[..., row, column] += share * picture[..., r, c]
    return out


def kernel(weights, name, params):
    if params.get("use_weight_norm"):
        v, g = (weights[f"{name}.parametrizations.weight.0.{part}"] for part in "vg")
        w = torch.stack([g[o] * v[o] / v[o].norm() for o in range(len(v))])
    elif params.get("aa_signal"):
        w = weights[f"{name}.parametrizations.weight.original"]
    else:
        w = weights[f"{name}.weight"]
    if params.get("aa_signal"):
        power = params.get("aa_window_kwargs", {}).get("power", 1.0)
        for axis in (2, 3, 4):
            if w.shape[axis] >= 5:
                window = torch.signal.windows.hann(w.shape[axis], dtype=torch.float64).clamp(min=0) ** power
                w = (w.movedim(axis, -1) * window / window.max()).movedim(-1, axis)
    return w


def layer(weights, name, block, features):
    params = block["conv_params"]
    w = kernel(weights, f"{name}.components.conv.conv", params)
    features = functional.pad(features, (0, 0, 0, 0, w.shape[2] - 1, 0), mode="replicate")
    features = functional.conv3d(features, w, weights.get(f"{name}.components.conv.conv.bias"))
    if block["norm_type"] == "batch":
        norm = f"{name}.components.norm"
        mean, var, scale, shift = (
            weights[f"{norm}.{part}"][:, None, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        features = (features - mean) / torch.sqrt(var + 1e-5) * scale + shift
    return ACTS[block["act_type"]](features)


def convolved(weights, config, features):
    number = 0
    params = config["params"]
    if "stem_config" in params:
        features, number = layer(weights, "convnet.layers.0", params["stem_config"], features), 1
    for block in params["block_configs"]:
        name = f"convnet.layers.{number}"
        number += 1
        if config["type"] != "resnet":
            features = layer(weights, name, block, features)
            continue
        out = layer(weights, f"{name}.main_block", block, features)
        way = features
        if f"{name}.shortcut.weight" in weights:
            way = torch.einsum("oc,bcthw->bothw", weights[f"{name}.shortcut.weight"][:, :, 0, 0, 0], way)
        top, left = (way.shape[3] - out.shape[3]) // 2, (way.shape[4] - out.shape[4]) // 2
        way = way[:, :, :, top : top + out.shape[3], left : left + out.shape[4]]
        features = ACTS[params.get("resnet_post_add_activation", "none")](out + way)
    return features


def encoded(weights, behavior):
    number = 0
    while f"modulator.encoder.mlp.{number}.linear.weight" in weights:
        name = f"modulator.encoder.mlp.{number}.linear"
        behavior = functional.gelu(behavior @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])
        number += 1
    name = f"modulator.encoder.mlp.{number}"
    if f"{name}.weight" in weights:
        behavior = behavior @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return behavior


def gru(weights, name, features):
    state = None
    for step in range(features.shape[2]):
        x = features[:, :, step]
        num = len(weights[f"{name}.cells.0.update_gate.bias"])
        state = x.new_zeros(len(x), num, *x.shape[2:]) if state is None else state

        def gate(which, given):
            w, b = (weights[f"{name}.cells.0.{which}_gate.{part}"] for part in ("weight", "bias"))
            return functional.conv2d(given, w, b, padding=w.shape[-1] // 2)

        z = torch.sigmoid(gate("update", torch.cat([x, state], dim=1)))
        r = torch.sigmoid(gate("reset", torch.cat([x, state], dim=1)))
        n = torch.tanh(gate("out", torch.cat([x, r * state], dim=1)))
        state = (1 - z) * state + z * n
    return state


def modulated(weights, kind, features, behavior):
    def spread(values):
        return values[:, :, None, None, None].expand(-1, -1, *features.shape[2:])

    if kind == "concat":
        return torch.cat([features, spread(encoded(weights, behavior))], dim=1)
    if kind == "film":
        code = encoded(weights, behavior)
        scale, shift = (
            code @ weights[f"modulator.{part}_layer.weight"].T + weights[f"modulator.{part}_layer.bias"]
            for part in ("scale", "shift")
        )
        return spread(scale) * features + spread(shift)
    if kind == "convgru":
        code = behavior @ weights["modulator.beh_emb.weight"].T + weights["modulator.beh_emb.bias"]
        state = gru(weights, "modulator.gru", torch.cat([features, spread(code)], dim=1))
        out = functional.conv2d(state, weights["modulator.output_proj.weight"], weights["modulator.output_proj.bias"])
        return out.unsqueeze(2)
    return features


def read_out(weights, kind, features):
    if kind == "linear":
        return features.mean(dim=(2, 3)) @ weights["readout.fc.weight"].T + weights["readout.fc.bias"]
    num, _, height, width = *weights["readout.features.weight"].shape[:2], *features.shape[2:]
    drives = []
    for unit in range(num):
        mask = features.new_zeros(height, width)
        angle = weights["readout.theta"][unit]
        std = weights["readout.std"][unit].clamp(min=1e-3)
        for r in range(height):
            for c in range(width):
                dy = r - (height - 1) / 2 - weights["readout.mean"][unit, 0]
                dx = c - (width - 1) / 2 - weights["readout.mean"][unit, 1]
                first = dy * torch.cos(angle) + dx * torch.sin(angle)
                second = -dy * torch.sin(angle) + dx * torch.cos(angle)
                mask[r, c] = torch.exp(-0.5 * ((first / std[0]) ** 2 + (second / std[1]) ** 2))
        mask = mask / (mask.sum() + 1e-8)
        seen = torch.einsum("bchw,c->bhw", features, weights["readout.features.weight"][unit, :, 0, 0])
        drives.append((seen * mask).sum(dim=(1, 2)))
    drive = torch.stack(drives, dim=1)
    return drive + weights["readout.bias"] if "readout.bias" in weights else drive


def rates(weights, config, windows, behavior):
    """Rates (B, N) of windows (B, C, T, H, W), newest frame first, and behavior (B, K)."""
    features = windows
    if config.get("adapter", {}).get("type") == "adapter":
        features = adapted(weights, config["adapter"]["params"], features)
    if config.get("frontend", {}).get("type") == "learnable_temporal":
        name = "frontend.temporal_conv.conv"
        w = kernel(weights, name, config["frontend"]["params"])
        features = functional.conv3d(features, w, weights.get(f"{name}.bias"))
    if config.get("convnet", {}).get("type", "none") != "none":
        features = convolved(weights, config["convnet"], features)
    features = modulated(weights, config.get("modulator", {}).get("type"), features, behavior)
    if config.get("recurrent", {}).get("type") == "convgru":
        features = gru(weights, "recurrent", features).unsqueeze(2)
    drive = read_out(weights, config["readout"]["type"], features[:, :, -1])
    rate = softplus(drive) if config["output_activation"] == "softplus" else torch.exp(drive)
    base = config.get("baseline", {})
    if base.get("enabled"):
        rate = rate + (weights["baseline"].relu() if base["activation"] == "relu" else softplus(weights["baseline"]))
    return rate

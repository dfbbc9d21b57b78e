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
    "silu": lambda x: x / (1 + torch.exp(-x)),
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


def normed(weights, name, block, x):
    """Statistics written out axis by axis; (B, C, S, H, W)."""
    kind, params = block["norm_type"], block.get("norm_params") or {}
    eps = params.get("eps", 1e-5)

    def own(part, otherwise):
        found = weights.get(f"{name}.{part}")
        return otherwise if found is None else found[:, None, None, None]

    if kind == "batch":
        x = (x - own("running_mean", 0.0)) / torch.sqrt(own("running_var", 1.0) + eps)
        return x * own("weight", 1.0) + own("bias", 0.0)
    if kind == "rms":
        root = torch.sqrt(sum(x[:, c] ** 2 for c in range(x.shape[1])) / x.shape[1] + eps)
        return x / root[:, None] * own("gamma", 1.0) + own("beta", 0.0)
    if kind == "layer":
        mean = sum(x[:, c] for c in range(x.shape[1]))[:, None] / x.shape[1]
        variance = sum(x[:, c] ** 2 for c in range(x.shape[1]))[:, None] / x.shape[1] - mean**2
        return (x - mean) / torch.sqrt(variance + eps)
    flat = x.reshape(*x.shape[:2], -1)
    if kind == "grn":
        offset = min(max(float(weights[f"{name}.offset"]), 0.1), 1.0)
        root = torch.sqrt((flat**2).sum(-1) / flat.shape[-1] + 1e-6) + offset
        return x / root[:, :, None, None, None] * own("gamma", 1.0) + own("beta", 0.0)
    if kind in ("instance", "group"):
        groups = x.shape[1] if kind == "instance" else params.get("num_groups", 1)
        parts = x.reshape(len(x), groups, -1)
        mean, variance = parts.mean(-1), parts.var(-1, unbiased=False)
        parts = (parts - mean[..., None]) / torch.sqrt(variance + eps)[..., None]
        return parts.reshape(x.shape) * own("weight", 1.0) + own("bias", 0.0)
    return x


def three(given, usual):
    given = usual if given is None else given
    return [given] * 3 if isinstance(given, int) else list(given)


def taken(x, axis, starts, size, combine):
    """Windows of an axis, each reduced to one place."""
    return torch.stack([combine(x.narrow(axis, start, size), axis) for start in starts], dim=axis)


def pooled(weights, name, params, x):
    kind = (params or {}).get("type", "none")
    if kind in ("max", "avg"):
        sizes = three(params.get("kernel_size"), 2)
        steps, paddings = three(params.get("stride"), sizes), three(params.get("padding"), 0)
        for axis in range(3):
            size, step, padding = sizes[axis], steps[axis], paddings[axis]
            if padding:
                shape = list(x.shape)
                shape[axis + 2] = padding
                border = x.new_full(shape, -float("inf") if kind == "max" else 0.0)
                x = torch.cat([border, x, border], dim=axis + 2)
            starts = range(0, x.shape[axis + 2] - size + 1, step)
            x = taken(x, axis + 2, starts, size, torch.amax if kind == "max" else torch.mean)
        return x
    if kind in ("aablur", "se_pool"):
        step = params.get("stride", 2)
        if kind == "aablur":
            for axis in (3, 4):
                zero = torch.zeros_like(x.narrow(axis, 0, 1))
                wide = torch.cat([zero, x, zero], dim=axis)
                size = x.shape[axis]
                x = sum(share * wide.narrow(axis, tap, size) for tap, share in enumerate((0.25, 0.5, 0.25)))
        rows, columns = (range(0, size - 1, step) for size in x.shape[3:])
        weight = torch.exp(x / 10)
        quads = [(0, 0), (0, 1), (1, 0), (1, 1)]
        out = x.new_zeros(*x.shape[:3], len(rows), len(columns))
        for i, r in enumerate(rows):
            for j, c in enumerate(columns):
                if params.get("use_soft", True):
                    over = sum(x[..., r + y, c + z] * weight[..., r + y, c + z] for y, z in quads) / 4
                    out[..., i, j] = over / (sum(weight[..., r + y, c + z] for y, z in quads) / 4 + 1e-6)
                else:
                    out[..., i, j] = sum(x[..., r + y, c + z] for y, z in quads) / 4
        means = out.mean(dim=(3, 4))
        w1, b1, w2, b2 = (weights[f"{name}.se.{part}"] for part in ("1.weight", "1.bias", "3.weight", "3.bias"))
        hidden = torch.einsum("oc,bcs->bos", w1[:, :, 0, 0, 0], means) + b1[:, None]
        hidden = hidden * torch.sigmoid(hidden)
        gate = torch.sigmoid(torch.einsum("oc,bcs->bos", w2[:, :, 0, 0, 0], hidden) + b2[:, None])
        return out * gate[..., None, None]
    return x


def layer(weights, name, block, features):
    params, order = block["conv_params"], block.get("order", ["pad", "conv", "norm", "act", "dropout", "pool"])
    w = kernel(weights, f"{name}.components.conv.conv", params)
    stride, dilation = three(params.get("stride"), 1), three(params.get("dilation"), 1)
    if w.shape[2] > 1 and "pad" in order:
        for _ in range(dilation[0] * (w.shape[2] - 1)):
            features = torch.cat([features[:, :, :1], features], dim=2)  # the newest frame again
        for axis, border in zip((3, 4), three(params.get("padding"), 0)[1:], strict=True):
            if w.shape[axis] > 1:
                places = torch.arange(-border, features.shape[axis] + border).clamp(0, features.shape[axis] - 1)
                features = features.index_select(axis, places)
    bias = weights.get(f"{name}.components.conv.conv.bias")
    features = functional.conv3d(features, w, bias, stride=stride, dilation=dilation)
    features = normed(weights, f"{name}.components.norm", block, features)
    features = ACTS[block["act_type"]](features)
    return (
        pooled(weights, f"{name}.components.pool", block.get("pool_params"), features) if "pool" in order else features
    )


def fitted(features, like):
    """Last steps and middle pixels, as many as the other has."""
    top, left = (features.shape[3] - like.shape[3]) // 2, (features.shape[4] - like.shape[4]) // 2
    kept = features[:, :, -like.shape[2] :]
    return kept[:, :, :, top : top + like.shape[3], left : left + like.shape[4]]


def convolved(weights, config, features):
    number = 0
    params = config["params"]
    if "stem_config" in params:
        apart = any(name.startswith("convnet.stem.") for name in weights)
        stem = "convnet.stem" if apart else "convnet.layers.0"
        features, number = layer(weights, stem, params["stem_config"], features), 0 if apart else 1
    for block in params["block_configs"]:
        name = f"convnet.layers.{number}"
        number += 1
        if config["type"] == "densenet":
            out = layer(weights, name, block, features)
            features = torch.cat([fitted(features, out), out], dim=1)
            continue
        if config["type"] != "resnet":
            features = layer(weights, name, block, features)
            continue
        out = layer(weights, f"{name}.main_block", block, features)
        way = features
        if f"{name}.shortcut.weight" in weights:
            pool = (block.get("pool_params") or {}).get("stride", 1)
            t, y, x = (
                step * more
                for step, more in zip(three(block["conv_params"].get("stride"), 1), three(pool, 1), strict=True)
            )
            way = torch.einsum("oc,bcthw->bothw", weights[f"{name}.shortcut.weight"][:, :, 0, 0, 0], way)
            way = way[:, :, ::t, ::y, ::x]
        smaller = out.new_zeros([min(pair) for pair in zip(out.shape, way.shape, strict=True)])
        total = fitted(out, smaller) + fitted(way, smaller)
        features = ACTS[params.get("resnet_post_add_activation", "none")](total)
    return features


def split(frames):
    """Fine and coarse part by a level of a Laplacian pyramid: blur, drop, fill with zeros, blur again."""
    b, _, t, height, width = frames.shape
    pictures = frames.reshape(b * t, 1, height, width)
    taps = torch.tensor([1, 4, 6, 4, 1], dtype=frames.dtype) / 16 * 2**0.5
    window = torch.outer(taps, taps)[None, None]
    small = functional.conv2d(functional.pad(pictures, (2, 2, 2, 2), mode="reflect"), window, stride=2)
    wide = functional.pad(small, (1, 1, 1, 1), mode="reflect")
    filled = frames.new_zeros(b * t, 1, 2 * wide.shape[2] - height % 2, 2 * wide.shape[3] - width % 2)
    filled[:, :, ::2, ::2] = wide
    coarse = functional.conv2d(filled, window).reshape(frames.shape)
    return torch.cat([frames - coarse, coarse], dim=1)


def fronted(weights, config, features):
    params = config["params"]
    if config["type"] == "da":
        fast, slow = torch.zeros_like(features), torch.zeros_like(features)
        for step in range(features.shape[2]):
            for tap in range(params["filter_length"]):
                seen = step - (params["filter_length"] - 1) + tap
                if seen >= 0:
                    fast[:, :, step] += weights["frontend.Ky_filter"][0, 0, tap] * features[:, :, seen]
                    slow[:, :, step] += weights["frontend.Kz_filter"][0, 0, tap] * features[:, :, seen]
        below = 1 + weights["frontend.beta"].relu() * slow
        return weights["frontend.alpha"] * fast / below.clamp(min=1e-6)
    name = "frontend.temporal_conv.conv"
    w = kernel(weights, name, params)
    if not params.get("split_MP"):
        return functional.conv3d(features, w, weights.get(f"{name}.bias"))
    return functional.conv3d(split(features), w, weights.get(f"{name}.bias"), groups=2)


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


def from_history(weights, config, history):
    """Drive from responses (B, K, N), the frame before first: plain layers whose weights are over their norm."""
    values, number = history.flatten(1), 0
    while True:
        name = f"history.mlp.{number}"
        last = f"{name}.linear.bias" not in weights
        name = name if last else f"{name}.linear"
        if f"{name}.weight" in weights:
            w = weights[f"{name}.weight"]
        else:
            w = weights[f"{name}.parametrizations.weight.original"]
            w = w / sum(
                weights[f"{name}.parametrizations.weight.0._u"][o]
                * (w[o] * weights[f"{name}.parametrizations.weight.0._v"]).sum()
                for o in range(len(w))
            )
        values = values @ w.T + weights[f"{name}.bias"]
        if last:
            return values
        values, number = ACTS[config["params"]["act_type"]](values), number + 1


def rates(weights, config, windows, behavior, history=None):
    """Rates (B, N) of windows (B, C, T, H, W), newest frame first, behavior (B, K), and earlier responses (B, L, N)."""
    if config.get("convnet", {}).get("type", "none") == config.get("frontend", {}).get("type", "none") == "none":
        windows = windows.new_ones(len(windows), 1, 1, 1, 1)
    features = windows
    if config.get("adapter", {}).get("type") == "adapter":
        features = adapted(weights, config["adapter"]["params"], features)
    if config.get("frontend", {}).get("type", "none") != "none":
        features = fronted(weights, config["frontend"], features)
    if config.get("convnet", {}).get("type", "none") != "none":
        features = convolved(weights, config["convnet"], features)
    features = modulated(weights, config.get("modulator", {}).get("type"), features, behavior)
    if config.get("recurrent", {}).get("type") == "convgru":
        features = gru(weights, "recurrent", features).unsqueeze(2)
    drive = read_out(weights, config["readout"]["type"], features[:, :, -1])
    if config.get("model_type") == "v1multi_history":
        drive = drive + from_history(weights, config["history_encoder"], history)
    rate = softplus(drive) if config["output_activation"] == "softplus" else torch.exp(drive)
    base = config.get("baseline", {})
    if base.get("enabled"):
        rate = rate + (weights["baseline"].relu() if base["activation"] == "relu" else softplus(weights["baseline"]))
    return rate

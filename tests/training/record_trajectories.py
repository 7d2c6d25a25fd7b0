"""Record trajectories.json: what torch.optim, optax and SciPy make of a small problem.

Run by hand where these are installed: `JAX_ENABLE_X64=1 python record_trajectories.py`.  The
tests read the numbers only.  Nothing of pluggable_mlp is imported here: the gradients are those
of torch's and JAX's automatic differentiation, the updates those of the libraries.

The problem: two dense layers' parameters w and a loss that changes at every step t,

    loss = sum of a/2 (w - c_t)^2 + w^4 / 4 over all w

with recorded a and c.  The output layer and the biases are in it, too, so that it is seen which
arrays decay and which of them Muon takes.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy
import torch
from scipy.optimize import LbfgsInvHessProduct, line_search, minimize, rosen, rosen_der

SHAPES = [{"W": (3, 5), "b": (5,)}, {"W": (5, 4), "b": (4,)}, {"W": (4, 2), "b": (2,)}]
STEPS = 20
RECORDED = (1, 2, 3, 20)
NAMES = [(index, name) for index, of in enumerate(SHAPES) for name in of]
HIDDEN = {(0, "W"), (1, "W")}


def draw():
    rng = np.random.default_rng(20240611)

    def tree(make):
        return [{name: make(shape) for name, shape in of.items()} for of in SHAPES]

    return {
        "start": tree(lambda shape: rng.normal(size=shape).round(3)),
        "a": tree(lambda shape: rng.uniform(0.5, 2.0, size=shape).round(3)),
        "c": tree(lambda shape: rng.normal(size=(STEPS, *shape)).round(3)),
    }


PROBLEM = draw()


def as_lists(tree):
    return [{name: np.asarray(x).tolist() for name, x in of.items()} for of in tree]


def torch_loss(w, step):
    total = 0.0
    for index, name in NAMES:
        a = torch.tensor(PROBLEM["a"][index][name])
        c = torch.tensor(PROBLEM["c"][index][name][step])
        x = w[index, name]
        total = total + (a / 2 * (x - c) ** 2 + x**4 / 4).sum()
    return total


def torch_trajectory(*makers, l1=0.0):
    """Each maker takes the dict of parameters and returns an optimizer of some of them."""
    w = {key: torch.tensor(PROBLEM["start"][key[0]][key[1]], requires_grad=True) for key in NAMES}
    optimizers = [make(w) for make in makers]
    seen = {}
    for step in range(STEPS):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = torch_loss(w, step)
        if l1:
            loss = loss + l1 * sum(x.abs().sum() for (_, name), x in w.items() if name == "W")
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        if step + 1 in RECORDED:
            seen[step + 1] = as_lists(
                [{name: w[i, name].detach() for name in of} for i, of in enumerate(SHAPES)]
            )
    return seen


def groups(w, weight_decay):
    """Matrices decay, biases do not."""
    return [
        {"params": [w[key] for key in NAMES if key[1] == "W"], "weight_decay": weight_decay},
        {"params": [w[key] for key in NAMES if key[1] == "b"], "weight_decay": 0.0},
    ]


def published_newton_schulz(G, ns_coefficients, ns_steps, eps):
    """K. Jordan's zeropower_via_newtonschulz5 (github.com/KellerJordan/Muon), in float64."""
    a, b, c = ns_coefficients
    X = G  # X = G.bfloat16() there
    if G.size(-2) > G.size(-1):
        X = X.mT
    X = X / (X.norm(dim=(-2, -1), keepdim=True) + eps)
    for _ in range(ns_steps):
        A = X @ X.mT
        B = b * A + c * A @ A
        X = a * X + B @ X
    if G.size(-2) > G.size(-1):
        X = X.mT
    return X


def muon_trajectory():
    """torch.optim.Muon, its iteration in float64; AdamW for what it is not meant for."""
    torch.optim._muon._zeropower_via_newtonschulz = published_newton_schulz
    return torch_trajectory(
        lambda w: torch.optim.Muon(
            [w[key] for key in NAMES if key in HIDDEN],
            lr=0.02,
            momentum=0.9,
            weight_decay=0.05,
            adjust_lr_fn="match_rms_adamw",
        ),
        lambda w: torch.optim.AdamW(
            [
                {"params": [w[2, "W"]], "weight_decay": 0.05},
                {"params": [w[key] for key in NAMES if key[1] == "b"], "weight_decay": 0.0},
            ],
            lr=0.02,
        ),
    )


def torch_trajectories():
    optim = torch.optim
    return {
        "sgd": torch_trajectory(lambda w: optim.SGD(w.values(), lr=0.05)),
        "sgd momentum": torch_trajectory(lambda w: optim.SGD(w.values(), lr=0.02, momentum=0.9)),
        "sgd nesterov": torch_trajectory(
            lambda w: optim.SGD(w.values(), lr=0.02, momentum=0.9, nesterov=True)
        ),
        "sgd weight_decay": torch_trajectory(lambda w: optim.SGD(groups(w, 0.3), lr=0.05)),
        "sgd l1": torch_trajectory(lambda w: optim.SGD(w.values(), lr=0.05), l1=0.2),
        "adagrad": torch_trajectory(lambda w: optim.Adagrad(w.values(), lr=0.2, eps=1e-2)),
        "rmsprop": torch_trajectory(lambda w: optim.RMSprop(w.values(), lr=0.01, alpha=0.9)),
        "adam": torch_trajectory(
            lambda w: optim.Adam(w.values(), lr=0.05, betas=(0.9, 0.99), eps=1e-3)
        ),
        "adam weight_decay": torch_trajectory(lambda w: optim.Adam(groups(w, 0.3), lr=0.05)),
        "adamw": torch_trajectory(lambda w: optim.AdamW(groups(w, 0.3), lr=0.05)),
        "muon": muon_trajectory(),
    }


def jax_loss(w, step):
    return sum(
        (PROBLEM["a"][i][n] / 2 * (w[i][n] - PROBLEM["c"][i][n][step]) ** 2).sum()
        + (w[i][n] ** 4 / 4).sum()
        for i, n in NAMES
    )


def optax_trajectory(transformation, average=None):
    w = [{name: jnp.asarray(x) for name, x in of.items()} for of in PROBLEM["start"]]
    state = transformation.init(w)
    averaging = average.init(w) if average else None
    seen = {}
    for step in range(STEPS):
        updates, state = transformation.update(jax.grad(jax_loss)(w, step), state, w)
        w = optax.apply_updates(w, updates)
        result = w
        if average:
            result, averaging = average.update(w, averaging)
        if step + 1 in RECORDED:
            seen[step + 1] = as_lists(result)
    return seen


def optax_trajectories():
    matrices = [{name: name == "W" for name in of} for of in SHAPES]
    return {
        "lion": optax_trajectory(
            optax.lion(0.01, b1=0.9, b2=0.99, weight_decay=0.1, mask=matrices)
        ),
        "sgd clip_norm": optax_trajectory(
            optax.chain(optax.clip_by_global_norm(5.0), optax.sgd(0.05))
        ),
        "sgd average": optax_trajectory(optax.sgd(0.05), optax.ema(0.8, debias=True)),
    }


def lbfgs_trajectory(start, history, steps):
    """SciPy's inverse Hessian product and its line search by Nocedal and Wright's 3.5 and 3.6.

    LbfgsInvHessProduct starts from H_0 = I.  H_0 = gamma I is the same in the variables
    x / sqrt(gamma).
    """
    x, g = start, rosen_der(start)
    pairs = []
    seen = []
    for _ in range(steps):
        if pairs:
            s, y = np.array(pairs[-history:]).transpose(1, 0, 2)
            gamma = (s[-1] @ y[-1]) / (y[-1] @ y[-1])
            root = np.sqrt(gamma)
            d = -gamma * (LbfgsInvHessProduct(s / root, y * root) @ g)
            before = None  # the search begins with step 1
        else:
            d = -g
            # so that the search begins with step 1 / |g|
            before = rosen(x) + np.linalg.norm(g) / 2.02
        step = line_search(rosen, rosen_der, x, d, g, old_old_fval=before, maxiter=10)[0]
        new = x + step * d
        pairs.append((step * d, rosen_der(new) - g))
        x, g = new, rosen_der(new)
        seen.append({"x": x.tolist(), "step": float(step)})
    return seen


def flat_loss(x):
    """The problem's first loss and its gradient: convex, with one minimum."""
    w = {}
    for key in NAMES:
        shape = SHAPES[key[0]][key[1]]
        part, x = np.split(x, [int(np.prod(shape))])
        w[key] = torch.tensor(part.reshape(shape), requires_grad=True)
    loss = torch_loss(w, 0)
    loss.backward()
    return loss.item(), np.concatenate([w[key].grad.numpy().ravel() for key in NAMES])


def lbfgs_trajectories():
    # From here the search doubles, and zooms in from both sides.
    start = np.array([-1.2, 1.2, 0.45, 1.35, -0.45, -2.25, -0.15, -0.6])
    first = np.concatenate([PROBLEM["start"][i][n].ravel() for i, n in NAMES])
    optimum = minimize(
        flat_loss, first, jac=True, method="L-BFGS-B", options={"ftol": 0.0, "gtol": 1e-11}
    )
    return {
        "start": start.tolist(),
        "history": 4,
        "iterations": lbfgs_trajectory(start, history=4, steps=24),
        "optimum": {"flat": optimum.x.tolist(), "loss": float(optimum.fun)},
    }


def main():
    jax.config.update("jax_enable_x64", True)
    torch.set_default_dtype(torch.float64)
    recorded = {
        "versions": {of.__name__: of.__version__ for of in (jax, np, optax, scipy, torch)},
        "problem": {key: as_lists(tree) for key, tree in PROBLEM.items()},
        "trajectories": torch_trajectories() | optax_trajectories(),
        "lbfgs": lbfgs_trajectories(),
    }
    path = Path(__file__).with_name("trajectories.json")
    path.write_text(json.dumps(recorded, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""How often PyTorch and JAX round an operation otherwise than NumPy, which rounds as IEEE 754 says.

`python benchmarks/roundings.py` prints a row for each operation and dtype: the part of a million
uniform numbers from 0 to 100 whose result has other bits.  docs/explanation/reproducible.md quotes
it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import torch

COUNT = 10**6


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    multiply_add = jax.jit(lambda a, b, c: a * b + c)
    print(f"NumPy {np.__version__}, PyTorch {torch.__version__}, JAX {jax.__version__}")
    for dtype in ("float32", "float64"):
        x = np.random.default_rng(0).uniform(0.0, 100.0, COUNT).astype(dtype)
        y, square, rows = x[::-1].copy(), x.reshape(1000, 1000), x[:1000, None].copy()
        j = jnp.asarray(x)
        results = {
            "PyTorch sqrt(x)": (torch.sqrt(torch.asarray(x)).numpy(), np.sqrt(x)),
            "JAX sqrt(x)": (jnp.sqrt(j), np.sqrt(x)),
            "JAX x / 3": (j / 3, x / np.asarray(3, dtype)),
            "JAX x / broadcast column": (jnp.asarray(square) / jnp.asarray(rows), square / rows),
            "JAX 1 / x": (1.0 / j, 1.0 / x),
            "JAX a * b + c under jit": (multiply_add(j, jnp.asarray(y), j), x * y + x),
            "JAX a * b + c one by one": (j * jnp.asarray(y) + j, x * y + x),
        }
        for name, (theirs, numpys) in results.items():
            print(f"{dtype}  {name:26} {np.mean(np.asarray(theirs) != numpys):8.2%}")


if __name__ == "__main__":
    main()

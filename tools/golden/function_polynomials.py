#!/usr/bin/env python3
"""Derives the minimax polynomials of src/kernels/functions_constants.h and prints them as C++.

Each is fitted by Remez's exchange algorithm in 60-digit arithmetic (mpmath) to the weighted error
that its function's result shows, then rounded to float32, the leading coefficients fixed first.

usage: function_polynomials.py
"""

import mpmath as mp
import numpy as np

mp.mp.dps = 60


def remez(function, weight, low, high, degree, rounds=30):
    """Coefficients c[0..degree] that minimise max |weight(x) * (function(x) - sum c[i] x^i)|."""
    n = degree + 2
    points = [
        (low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / (n - 1)) for i in range(n)
    ]
    grid = [low + (high - low) * mp.mpf(i) / 2000 for i in range(2001)]
    values = [(x, function(x), weight(x)) for x in grid]
    for _ in range(rounds):
        rows = mp.matrix(n, n)
        right = mp.matrix(n, 1)
        for i, x in enumerate(points):
            for j in range(degree + 1):
                rows[i, j] = x**j
            rows[i, degree + 1] = (-1) ** i / weight(x)
            right[i] = function(x)
        solution = mp.lu_solve(rows, right)
        c = [solution[j] for j in range(degree + 1)]
        errors = [w * (f - mp.polyval(c[::-1], x)) for x, f, w in values]
        # One extremum for each run of equal sign.
        extrema, start = [], 0
        for i in range(1, len(errors) + 1):
            if i == len(errors) or errors[i] * errors[start] < 0:
                extrema.append(max(range(start, i), key=lambda k: abs(errors[k])))
                start = i
        while len(extrema) > n:
            extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
        if len(extrema) < n:
            break
        fresh = [grid[k] for k in extrema]
        if fresh == points:
            break
        points = fresh
    return c, max(abs(e) for e in errors)


def show(name, coefficients, error):
    print(f"// {name}: weighted error before rounding {mp.nstr(error, 3)}")
    for i, c in enumerate(coefficients):
        print(f"inline constexpr float {name}{i} = {float(np.float32(float(c))).hex()}f;")


def main():
    half_ln2 = mp.log(2) / 2 * mp.mpf("1.0001")
    one = mp.mpf(1)

    # e^r = 1 + r + r^2 q(r).
    q, e = remez(
        lambda r: (mp.exp(r) - 1 - r) / r**2 if r else one / 2,
        lambda r: r**2 / mp.exp(r) if r else mp.mpf("1e-30"),
        -half_ln2, half_ln2, 4,
    )
    show("kExpQ", q, e)

    # 2^f = 1 + f g(f).
    half = mp.mpf("0.5")
    g, e = remez(
        lambda f: (mp.mpf(2) ** f - 1) / f if f else mp.log(2),
        lambda f: abs(f) / mp.mpf(2) ** f if f else mp.mpf("1e-30"),
        -half, half, 5,
    )
    show("kExp2G", g, e)

    # tanh(x) = x + x^3 t(x^2), |x| <= 0.625.
    def tanh_part(z):
        if z == 0:
            return -one / 3
        x = mp.sqrt(z)
        return (mp.tanh(x) - x) / x**3

    t, e = remez(
        tanh_part, lambda z: z * mp.sqrt(z) / mp.tanh(mp.sqrt(z)) if z else mp.mpf("1e-30"),
        mp.mpf(0), mp.mpf("0.625") ** 2, 4,
    )
    show("kTanhT", t, e)

    # erf(x) = x + x s(x^2), |x| <= 0.9375.
    def erf_part(z):
        if z == 0:
            return 2 / mp.sqrt(mp.pi) - 1
        x = mp.sqrt(z)
        return mp.erf(x) / x - 1

    s, e = remez(
        erf_part, lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)) if z else one,
        mp.mpf(0), mp.mpf("0.9375") ** 2, 6,
    )
    show("kErfS", s, e)

    # erf(x) = 1 - e^u(x), 0.9375 < x <= 4: u = ln(erfc x).
    u, e = remez(
        lambda x: mp.log(mp.erfc(x)), lambda x: mp.erfc(x) / mp.erf(x),
        mp.mpf("0.9375"), mp.mpf(4), 7,
    )
    show("kErfU", u, e)


if __name__ == "__main__":
    main()

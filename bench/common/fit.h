// Least squares: what the parameters of a linear model must be so that it comes as near as possible
// to what was measured.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace paceline::bench {

/// `measured` is about the sum of features[i] times parameter i.
struct Sample {
  std::vector<double> features;
  double measured = 0;
};

namespace detail {

/// Solves the square system by elimination, the largest pivot first; what nothing is said of is 0.
inline std::vector<double> solve(std::vector<std::vector<double>> a, std::vector<double> b) {
  // Features are of all orders of magnitude; below this share of a column's own, only rounding is
  // left of it.
  constexpr double kNothing = 1e-12;
  const std::size_t n = b.size();
  std::vector<double> scale(n);
  for (std::size_t i = 0; i < n; ++i) scale[i] = a[i][i];
  std::vector<bool> used(n, false);
  std::vector<std::size_t> order;
  for (std::size_t step = 0; step < n; ++step) {
    std::size_t best = n;
    double best_share = kNothing;
    for (std::size_t i = 0; i < n; ++i) {
      const double share = used[i] || scale[i] <= 0 ? 0 : a[i][i] / scale[i];
      if (share > best_share) {
        best = i;
        best_share = share;
      }
    }
    if (best == n) break;
    used[best] = true;
    order.push_back(best);
    for (std::size_t row = 0; row < n; ++row) {
      if (row == best) continue;
      const double factor = a[row][best] / a[best][best];
      for (std::size_t column = 0; column < n; ++column) a[row][column] -= factor * a[best][column];
      b[row] -= factor * b[best];
    }
  }
  std::vector<double> x(n, 0.0);
  for (const std::size_t i : order) x[i] = b[i] / a[i][i];
  return x;
}

}  // namespace detail

/// Parameters, none of them negative, with the least sum of squares of relative errors: without
/// that, the large times would drown the small ones.
///
/// By the active set method of C. Lawson and R. Hanson ("Solving Least Squares Problems", 1974,
/// chapter 23). All parameters begin at 0. The one that reduces the error most is let go, and those
/// let go so far are fitted. Where one of them would become negative, the step ends where the first
/// of them meets 0, which holds that one again. Setting what is negative to 0 for good would be
/// simpler and wrong: it may be negative only beside another that is 0 in the end.
inline std::vector<double> fit(const std::vector<Sample>& samples, std::size_t parameters) {
  // The normal equations of relative errors, each parameter in units in which its column has length
  // 1, so that gradients of different parameters can be compared.
  std::vector<std::vector<double>> a(parameters, std::vector<double>(parameters, 0.0));
  std::vector<double> b(parameters, 0.0);
  std::vector<double> length(parameters, 0.0);
  for (const Sample& sample : samples) {
    if (!(sample.measured > 0)) continue;
    for (std::size_t i = 0; i < parameters; ++i) {
      const double x = sample.features[i] / sample.measured;
      b[i] += x;
      for (std::size_t j = 0; j < parameters; ++j)
        a[i][j] += x * sample.features[j] / sample.measured;
    }
  }
  for (std::size_t i = 0; i < parameters; ++i) length[i] = std::sqrt(a[i][i]);
  for (std::size_t i = 0; i < parameters; ++i) {
    if (length[i] == 0) continue;
    b[i] /= length[i];
    for (std::size_t j = 0; j < parameters; ++j) {
      if (length[j] > 0) a[i][j] /= length[i] * length[j];
    }
  }

  const auto fitted = [&](const std::vector<bool>& free) {
    auto only = a;
    auto right = b;
    for (std::size_t i = 0; i < parameters; ++i) {
      if (free[i]) continue;
      right[i] = 0;
      for (std::size_t j = 0; j < parameters; ++j) only[i][j] = only[j][i] = 0;
    }
    return detail::solve(std::move(only), std::move(right));
  };

  constexpr double kRounding = 1e-9;
  std::vector<double> x(parameters, 0.0);
  std::vector<bool> free(parameters, false);
  // Each round reduces the error; the bound is for rounding that would make them go in a circle.
  for (std::size_t round = 0; round < 10 * parameters; ++round) {
    std::size_t steepest = parameters;
    double steepness = kRounding;
    for (std::size_t i = 0; i < parameters; ++i) {
      double slope = b[i];
      for (std::size_t j = 0; j < parameters; ++j) slope -= a[i][j] * x[j];
      if (!free[i] && slope > steepness) {
        steepest = i;
        steepness = slope;
      }
    }
    if (steepest == parameters) break;
    free[steepest] = true;
    while (true) {
      const std::vector<double> target = fitted(free);
      double step = 1;
      for (std::size_t i = 0; i < parameters; ++i) {
        if (free[i] && target[i] <= 0) step = std::min(step, x[i] / (x[i] - target[i]));
      }
      for (std::size_t i = 0; i < parameters; ++i) {
        if (free[i]) x[i] += step * (target[i] - x[i]);
      }
      if (step == 1) break;
      for (std::size_t i = 0; i < parameters; ++i) {
        if (free[i] && target[i] <= 0 && x[i] <= kRounding) {
          x[i] = 0;
          free[i] = false;
        }
      }
    }
  }
  for (std::size_t i = 0; i < parameters; ++i) x[i] = length[i] > 0 ? x[i] / length[i] : 0;
  return x;
}

}  // namespace paceline::bench

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
/// that, the large times would drown the small ones. One that would become negative is 0, and the
/// others are fitted again.
inline std::vector<double> fit(const std::vector<Sample>& samples, std::size_t parameters) {
  std::vector<bool> zero(parameters, false);
  while (true) {
    std::vector<std::vector<double>> a(parameters, std::vector<double>(parameters, 0.0));
    std::vector<double> b(parameters, 0.0);
    for (const Sample& sample : samples) {
      if (!(sample.measured > 0)) continue;
      for (std::size_t i = 0; i < parameters; ++i) {
        if (zero[i]) continue;
        const double x = sample.features[i] / sample.measured;
        b[i] += x;
        for (std::size_t j = 0; j < parameters; ++j) {
          if (!zero[j]) a[i][j] += x * sample.features[j] / sample.measured;
        }
      }
    }
    const std::vector<double> x = detail::solve(std::move(a), std::move(b));
    const auto lowest = std::min_element(x.begin(), x.end());
    if (lowest == x.end() || *lowest >= 0) return x;
    zero[static_cast<std::size_t>(lowest - x.begin())] = true;
  }
}

}  // namespace paceline::bench

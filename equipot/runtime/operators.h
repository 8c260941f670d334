// The operators of a program: each runs forwards, and backwards from the gradients of what it wrote.
#pragma once

#include "network.h"

namespace equipot {

template <class T> class Operator {
 public:
  virtual ~Operator() = default;
  virtual void forward(Run<T> &run) const = 0;
  virtual void backward(Run<T> &) const {}

  // For the plan of the memory. An operator that changes a value in place reads and writes it.
  std::vector<int64_t> reads, writes;    // values, forwards
  std::vector<int64_t> needs;            // values whose content `backward` reads
  // Gradients that `backward` adds to or, for the first operator that does, sets.
  std::vector<int64_t> passes;
  std::vector<char> sets;                // for each of `passes`, whether this operator is the first
  bool only_sets = false;                // it cannot add
};

// Makes the operator of a record and adds what it writes to `network.values`. Throws std::invalid_argument.
template <class T>
std::unique_ptr<Operator<T>> make_operator(const Program &program, const Json &record, Network<T> &network);

}    // namespace equipot

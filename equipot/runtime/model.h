// A model in memory, behind the functions of equipot.h.
#pragma once

#include "network.h"

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace equipot {

class RuntimeModel {
 public:
  // Throws std::invalid_argument for what is no model. `tested`: a program without a test is refused.
  RuntimeModel(std::string_view text, std::string_view arrays, bool tested);

  void evaluate(const equipot_evaluation &evaluation);
  equipot_description describe() const;

 private:
  // The runs that no thread uses at present.
  template <class T> struct Pool {
    std::unique_ptr<Network<T>> network;
    std::vector<std::unique_ptr<Run<T>>> idle;
  };
  template <class T> void evaluate_in(Pool<T> &pool, const equipot_evaluation &evaluation);
  template <class T> void take_sizes(const Network<T> &network, int64_t bytes);
  void test();

  Program program;
  std::vector<const char *> names, output_names;
  std::mutex mutex;
  Pool<float> single;
  Pool<double> twice;
  int64_t n_exchanges = 0, widest_exchange = 0, n_members = 0, n_deviation = 0;
};

// The model of a file's bytes; throws std::invalid_argument.
std::unique_ptr<RuntimeModel> read_model(std::string_view bytes);

}    // namespace equipot

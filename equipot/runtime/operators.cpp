#include "fields.h"

namespace equipot {

template <class T>
std::unique_ptr<Operator<T>> make_operator(const Program &program, const Json &record, Network<T> &network)
{
  const std::string &kind = record.at("kind").text("the kind of an operator");
  for (Maker<T> maker : {feature_operator<T>(kind), nonlinear_operator<T>(kind), edge_operator<T>(kind), uncertainty_operator<T>(kind)}) {
    if (!maker) continue;
    try {
      return maker(program, record, network);
    } catch (const std::invalid_argument &error) {
      throw std::invalid_argument("its operator " + kind + ": " + error.what());
    }
  }
  throw std::invalid_argument("it has the operator '" + kind + "', which this equipot does not know; install a newer one");
}

template std::unique_ptr<Operator<float>> make_operator(const Program &, const Json &, Network<float> &);
template std::unique_ptr<Operator<double>> make_operator(const Program &, const Json &, Network<double> &);

}    // namespace equipot

// The functions of equipot.h: exceptions become sentences.
#include "equipot.h"

#include "guarded.h"
#include "model.h"

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

struct equipot_model {
  std::unique_ptr<equipot::RuntimeModel> model;
};

namespace {

template <class Make> equipot_model *opened(char *error, size_t error_size, Make &&make)
{
  equipot_model *result = nullptr;
  equipot::guarded(error, error_size, [&] { result = new equipot_model{make()}; });
  return result;
}

}    // namespace

extern "C" {

equipot_model *equipot_open(const char *path, char *error, size_t error_size)
{
  return opened(error, error_size, [&] {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("it cannot be opened");
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (file.bad()) throw std::runtime_error("it cannot be read");
    return equipot::read_model(bytes);
  });
}

equipot_model *equipot_open_bytes(const void *bytes, size_t size, char *error, size_t error_size)
{
  return opened(error, error_size, [&] { return equipot::read_model({static_cast<const char *>(bytes), size}); });
}

equipot_model *equipot_open_program(const char *text, size_t text_size, const void *arrays, size_t arrays_size, char *error,
                                    size_t error_size)
{
  return opened(error, error_size, [&] {
    return std::make_unique<equipot::RuntimeModel>(std::string_view(text, text_size),
                                            std::string_view(static_cast<const char *>(arrays), arrays_size), false);
  });
}

void equipot_close(equipot_model *model) { delete model; }

int equipot_describe(const equipot_model *model, equipot_description *description, char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    equipot::check_size(*description, "equipot_description");
    *description = model->model->describe();
  });
}

int equipot_evaluate(equipot_model *model, const equipot_evaluation *evaluation, char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] { model->model->evaluate(*evaluation); });
}

}    // extern "C"

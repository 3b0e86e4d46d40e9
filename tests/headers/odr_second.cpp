#include "everything.hpp"

fanfold::workspace* second_workspace();

fanfold::workspace* second_workspace() {
  static fanfold::workspace ws;
  return &ws;
}

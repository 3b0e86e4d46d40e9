#pragma once

#include "fanfold/core/executor.hpp"
#include "fanfold/core/thread_pool.hpp"

namespace support {

/// A pool for tests that need one of several threads.
inline fanfold::thread_pool& shared_pool() {
  static fanfold::thread_pool pool(2);
  return pool;
}

/// Calls f(name, executor) for every kind of host executor at several widths.
/// Results that depend on the problem only are the same bits in each call.
template <class F>
void for_each_executor(F&& f) {
  f("serial", fanfold::serial);
#ifdef _OPENMP
  f("openmp, 1 thread", fanfold::openmp_executor{1});
  f("openmp, 2 threads", fanfold::openmp_executor{2});
  f("openmp, 3 threads", fanfold::openmp_executor{3});
  f("openmp, 8 threads", fanfold::openmp_executor{8});
#endif
  static fanfold::thread_pool one(1), two(2), three(3);
  f("thread pool, 1 thread", one.ref());
  f("thread pool, 2 threads", two.ref());
  f("thread pool, 3 threads", three.ref());
}

}  // namespace support

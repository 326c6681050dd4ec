// The one way to stop a grading run from outside: a descriptor that every wait of this room polls.
// Thread rule: any thread; Cancel is async-signal-safe.
#pragma once

namespace bitsweep::grade {

class Cancellation {
 public:
  Cancellation();
  ~Cancellation();
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  /// Readable for ever once Cancel was called.
  int descriptor() const { return descriptor_; }
  void Cancel() const;
  bool cancelled() const;

 private:
  int descriptor_ = -1;
};

}  // namespace bitsweep::grade

// The stream of a sweep's states, kept alive: when the coordinator goes away and comes back, the
// feed connects again and goes on where it was, by the sweep's id ("latest" may mean another sweep
// by then). Thread rule: made, waited on and destroyed by one thread; a thread of its own reads the
// stream.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <absl/status/status.h>
#include <absl/time/time.h>

#include "cli/client.h"

namespace bitsweep::cli {

class StatusFeed {
 public:
  struct Options {
    // After this long without a coordinator the feed gives up: a script must not wait for ever.
    absl::Duration give_up_after = absl::Minutes(10);
    absl::Duration retry_interval = absl::Milliseconds(500);
  };
  /// Everything there is to know now.
  struct View {
    std::optional<v1::SweepStatus> status;  // The newest.
    int updates = 0;         // How many have come; a change means `status` is another one.
    bool connected = false;  // Of the last attempt.
    int reconnections = 0;
    std::string trouble;  // Why there is no connection.
    bool finished = false;
    absl::Status result;  // With `finished`: OK when the stream said that the sweep has ended.
  };

  StatusFeed(Client& client, std::string sweep, Options options);
  /// Cancels the stream and waits for its thread.
  ~StatusFeed();

  /// Returns when something has changed since the last call, or at `timeout`.
  View Wait(absl::Duration timeout);

 private:
  void Run();
  grpc::Status ReadOnce(v1::Sweeps::Stub& stub);
  bool Sleep(absl::Duration duration);
  template <typename Change>
  void Update(Change change);

  Client& client_;
  const std::string sweep_;
  const Options options_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Below: under mutex_.
  View view_;
  int revision_ = 0;
  int seen_revision_ = 0;
  bool stopping_ = false;
  grpc::ClientContext* reading_ = nullptr;

  std::thread thread_;
};

}  // namespace bitsweep::cli

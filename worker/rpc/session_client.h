// CoordinatorClient over one bidirectional gRPC stream: a thread reads, a thread writes.
// Runs on: agent loop; its threads post to it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "worker/agent/coordinator_client.h"

namespace bitsweep {

class SessionClient : public CoordinatorClient {
 public:
  using Post = std::function<void(std::function<void()>)>;
  /// `server`: HOST:PORT. `post` queues a call on the agent loop.
  SessionClient(const std::string& server, Post post);
  /// Breaks the session off; nothing is told any more.
  ~SessionClient() override;

  /// Before the first Connect. `listener` must live until the last posted call has run.
  void SetListener(SessionListener* listener);

  void Connect(const Registration& registration) override;
  void Send(const WorkerMessage& message) override;
  void Close() override;

 private:
  class Session;
  struct Dialing;
  std::unique_ptr<Dialing> dialing_;
  std::unique_ptr<Session> session_;
};

}  // namespace bitsweep

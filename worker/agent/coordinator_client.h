// The agent's side of a session with the coordinator. The agent owns this interface and worker/rpc
// implements it, so that no gRPC type reaches the agent and tests need no socket.
// Runs on: agent loop, both directions.
#pragma once

#include <absl/status/status.h>

#include "proto/contract/session.h"

namespace bitsweep {

/// What a session tells the agent. Calls come on the agent loop, never from inside a call of
/// CoordinatorClient.
class SessionListener {
 public:
  virtual ~SessionListener() = default;
  virtual void OnMessage(const CoordinatorMessage& message) = 0;
  /// The session has ended, or could not be opened; the last call about it.
  virtual void OnDisconnected(const absl::Status& status) = 0;
};

class CoordinatorClient {
 public:
  virtual ~CoordinatorClient() = default;
  /// Opens a session and sends `registration`. REQUIRES: no session since the last OnDisconnected.
  virtual void Connect(const Registration& registration) = 0;
  /// Sends in order. Without a session, or when it breaks, the message is lost: whoever must know
  /// that it arrived waits for the acknowledgement and sends again in the next session.
  virtual void Send(const WorkerMessage& message) = 0;
  /// Sends what is queued, then ends the session; OnDisconnected follows, within seconds even when
  /// the coordinator does not answer. Nothing when there is no session.
  virtual void Close() = 0;
};

}  // namespace bitsweep

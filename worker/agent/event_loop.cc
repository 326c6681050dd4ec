#include "worker/agent/event_loop.h"

#include <csignal>
#include <utility>

#include <absl/time/time.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

namespace bitsweep {

struct EventLoop::State {
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{
      context.get_executor()};
  boost::asio::signal_set signals{context};
  std::function<void(int)> on_signal;

  void WaitForSignal() {
    signals.async_wait([this](const boost::system::error_code& error, int signal) {
      if (!error) {
        on_signal(signal);
        WaitForSignal();
      }
    });
  }
};

EventLoop::EventLoop() : state_(std::make_unique<State>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::Run() {
  state_->context.run();
}

void EventLoop::Stop() {
  state_->context.stop();
}

void EventLoop::Post(std::function<void()> call) {
  boost::asio::post(state_->context, std::move(call));
}

void EventLoop::After(absl::Duration delay, std::function<void()> call) {
  auto timer = std::make_unique<boost::asio::steady_timer>(state_->context,
                                                           absl::ToChronoNanoseconds(delay));
  boost::asio::steady_timer& reference = *timer;
  // The handler owns the timer, so it lives until it fires or the loop is destroyed.
  reference.async_wait(
      [timer = std::move(timer), call = std::move(call)](const boost::system::error_code& error) {
        if (!error) {
          call();
        }
      });
}

void EventLoop::OnStopSignal(std::function<void(int signal)> call) {
  state_->on_signal = std::move(call);
  state_->signals.add(SIGTERM);
  state_->signals.add(SIGINT);
  state_->WaitForSignal();
}

}  // namespace bitsweep

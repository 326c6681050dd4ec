#include "worker/app/worker_app.h"

int main(int argc, char** argv) {
  const bitsweep::ParsedOptions parsed = bitsweep::ParseWorkerOptions(argc, argv);
  return parsed.options ? bitsweep::RunWorker(*parsed.options) : parsed.exit_code;
}

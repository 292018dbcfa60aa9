#pragma once

namespace troupe::app {

/// As many open files as the operating system lets this process have: each connection and each node is one, and shells
/// commonly allow 1,024 unless asked. Children get them too.
void raise_file_limit();

} // namespace troupe::app

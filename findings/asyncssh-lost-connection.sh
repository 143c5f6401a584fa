#!/usr/bin/env bash
# Guess:    `await conn.run(command, check=True)` returns only if the command ended with status 0;
#           if the connection breaks while it runs, something is raised.
# Happens:  it returns, with the output so far and with exit_status None. `check` asks whether the
#           status is true, and None is not.
# Versions: asyncssh 2.24.1, both as client and as server.
# Source:   asyncssh/process.py, SSHClientProcess.wait: `if check and self.exit_status`; another
#           project that had to guard against it: MatterMiners/tardis pull request 367.
set -uo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
{ python3 -m venv "$dir/v" && "$dir/v/bin/pip" install -q asyncssh==2.24.1; } >&2 || exit 3

seen=$("$dir/v/bin/python" - <<'PY'
import asyncio

import asyncssh


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return False  # lets everybody in: it listens on the loopback for a second


async def handle(process):
    if process.command == "false":
        process.exit(1)
        return
    process.stdout.write("half of it")
    await process.stdout.drain()
    await asyncio.sleep(0.5)
    process.channel.get_connection().abort()


async def main():
    listener = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, process_factory=handle,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
    )
    async with asyncssh.connect(
        "127.0.0.1", listener.get_port(), username="op", known_hosts=None, config=None,
        client_keys=None, agent_path=None,
    ) as conn:
        for command in ("false", "cut off"):
            try:
                done = await conn.run(command, check=True)
                print(f"{command}: returned, status {done.exit_status}, output {done.stdout!r}")
            except asyncssh.ProcessError as error:
                print(f"{command}: {type(error).__name__}, status {error.exit_status}")
    listener.close()


asyncio.run(main())
PY
)
want="false: ProcessError, status 1
cut off: returned, status None, output 'half of it'"
printf '%s\n' "$seen"
[ "$seen" = "$want" ]

// Command nobatch runs a program where the kernel refuses the system calls that move many datagrams at once, so that
// broach goes the way of the systems that have none:
//
//	go test -exec "go run broach/internal/sandbox/nobatch" ./...
//
// The program finds NOBATCH in its environment, by which tests on a network in memory know that they repeat themselves.
// The tests of internal/udp go both ways without it.
//
// It sets the filter and becomes the program, whose children inherit it: the filter cannot be taken off again. Without
// a program, or where the kernel takes no filter, it says so and exits with 1. It runs on Linux alone.
package main

import (
	"fmt"
	"os"
	"os/exec"

	"broach/internal/sandbox"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "nobatch:", err)
		os.Exit(1)
	}
}

// run does not return if all goes well.
func run(command []string) error {
	if len(command) == 0 {
		return fmt.Errorf("there is no program to run")
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	if err := sandbox.Refuse(unix.ENOSYS, unix.SYS_SENDMMSG, unix.SYS_RECVMMSG); err != nil {
		return err
	}
	return unix.Exec(path, command, append(os.Environ(), "NOBATCH=1"))
}

// Keys: three processes and this one change the key of their cluster, in three steps, while calls go on. Each process
// reads the keys from a file, at its start and when it gets SIGHUP. No call fails, and who has not the key is nobody.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"broach"
)

func main() {
	if len(os.Args) == 3 {
		provide(os.Args[1], os.Args[2])
	}
	file := filepath.Join(must(os.MkdirTemp("", "keys")), "keys")
	old, fresh := newKey(), newKey()
	must(0, os.WriteFile(file, old, 0o600))
	node := must(broach.Start(broach.Config{Keys: keysIn(file), LogLevel: "off"}))
	providers := []*exec.Cmd{spawn(node, file), spawn(node, file), spawn(node, file)}
	must(0, node.WaitFor(context.Background(), "add", 3))

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan string)
	go func() {
		calls := 0
		for ; ctx.Err() == nil; calls++ {
			must(node.Caller("add").Call(context.Background(), 1, calls)) // a failure ends the program
		}
		done <- fmt.Sprint(calls, " calls meanwhile, 0 failed")
	}()
	steps := []string{"the old key seals, both open", "the new key seals, both open",
		"the new key seals, and opens alone"}
	for i, keys := range [][]byte{slices.Concat(old, fresh), slices.Concat(fresh, old), fresh} {
		must(0, os.WriteFile(file, keys, 0o600))
		must(0, node.SetKeys(keysIn(file)))
		for _, p := range providers {
			must(0, p.Process.Signal(syscall.SIGHUP))
		}
		time.Sleep(300 * time.Millisecond) // all have read them
		fmt.Println("everywhere now:", steps[i])
	}
	cancel()
	fmt.Println(<-done)
	stranger := must(broach.Start(broach.Config{Keys: [][]byte{old}, Join: []string{node.Addr().String()},
		LogLevel: "off"}))
	time.Sleep(300 * time.Millisecond)
	fmt.Println("who has the old key sees", len(stranger.Members()), "member: itself; the others see",
		len(node.Members()))
	for _, p := range providers {
		_ = p.Process.Kill()
	}
	os.RemoveAll(filepath.Dir(file))
}

// provide is a provider that reads its keys anew when it is told to.
func provide(seed, file string) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	node := must(broach.Start(broach.Config{Keys: keysIn(file), Join: []string{seed}, LogLevel: "error"}))
	must(0, node.Register("add", func(x, y int) int { return x + y }))
	for range hup {
		must(0, node.SetKeys(keysIn(file)))
	}
}

func newKey() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

// keysIn reads 32 bytes for each key. Of an empty file it makes an empty list, which broach refuses: nil is a node
// without keys.
func keysIn(file string) [][]byte {
	return slices.AppendSeq([][]byte{}, slices.Chunk(must(os.ReadFile(file)), 32))
}

func spawn(seed *broach.Node, file string) *exec.Cmd {
	cmd := exec.Command(must(os.Executable()), seed.Addr().String(), file)
	must(0, cmd.Start())
	return cmd
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

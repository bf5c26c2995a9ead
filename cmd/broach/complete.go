package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broach"
)

// Completion of names asks the seed, as a guest. A shell waits for it, so it has little time; and what came is used
// again for a while, for people press the key twice.

const (
	completeWithin = 200 * time.Millisecond
	completeKept   = 10 * time.Second
	completeMost   = 200 // bash becomes slow with more
)

// completeNames offers the names of functions for the first argument.
func (a *app) completeNames(c *cobra.Command, args []string, prefix string) (
	[]cobra.Completion, cobra.ShellCompDirective,
) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list []cobra.Completion
	for _, f := range a.knownServices(c.Context()) {
		if strings.HasPrefix(f.Name, prefix) && f.Name == clean(f.Name) && len(list) < completeMost {
			list = append(list, cobra.CompletionWithDesc(f.Name, clean(f.Signature)))
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// knownServices are those that the seed says, of now or of shortly before; none if it does not answer in time.
func (a *app) knownServices(ctx context.Context) (list []serviceItem) {
	path := a.completionCache()
	if text, err := os.ReadFile(path); err == nil && isFresh(path) && json.Unmarshal(text, &list) == nil {
		return list
	}
	a.timeout = completeWithin
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	s, err := a.open(ctx)
	if err != nil {
		return nil
	}
	defer s.Close()
	v, err := s.view(ctx, "", broach.ViewServices)
	if err != nil {
		return nil
	}
	for _, f := range v.Services {
		list = append(list, serviceItem{Name: f.Name, Signature: f.Signature})
	}
	if text, err := json.Marshal(list); err == nil {
		keepPrivate(path, text)
	}
	return list
}

func isFresh(path string) bool {
	info, err := os.Stat(path)
	return err == nil && time.Since(info.ModTime()) < completeKept
}

// completionCache is the file of what a cluster offers.
func (a *app) completionCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	asked := fmt.Sprint(a.seeds, os.Getenv("BROACH_SEEDS"), a.file, a.cluster)
	sum := sha256.Sum256([]byte(asked))
	return filepath.Join(dir, "broach", "names-"+hex.EncodeToString(sum[:8])+".json")
}

// keepPrivate writes a file that nobody else may read. Where that fails there is none.
func keepPrivate(path string, text []byte) {
	if path == "" || os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if os.WriteFile(tmp, text, 0o600) != nil || os.Rename(tmp, path) != nil {
		_ = os.Remove(tmp)
	}
}

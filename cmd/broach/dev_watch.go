package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher tells of files that have changed, when they rest again.
type watcher struct {
	files    *fsnotify.Watcher
	changedc chan struct{} // has something when they have
	looks    sync.WaitGroup
}

func newWatcher(dirs []string) (*watcher, error) {
	if len(dirs) == 0 {
		dirs = []string{"."}
	}
	files, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &watcher{files: files, changedc: make(chan struct{}, 1)}
	for _, dir := range dirs {
		if err := w.add(dir); err != nil {
			_ = files.Close()
			return nil, usagef("--watch %s: %w", dir, err)
		}
	}
	w.looks.Go(w.look)
	return w, nil
}

func (w *watcher) close() {
	_ = w.files.Close()
	w.looks.Wait()
}

// add watches a folder and those in it, but for hidden ones.
func (w *watcher) add(root string) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !e.IsDir():
			return nil
		case path != root && isHiddenName(e.Name()):
			return filepath.SkipDir
		}
		return w.files.Add(path)
	})
}

// look collects changes until the watcher is closed.
func (w *watcher) look() {
	var rest <-chan time.Time
	for {
		select {
		case e, ok := <-w.files.Events:
			if !ok {
				return
			}
			if w.counts(e, rest != nil) {
				rest = time.After(quietFor)
			}
		case <-w.files.Errors: // what was lost is found with the next change
		case <-rest:
			rest = nil
			select {
			case w.changedc <- struct{}{}:
			default: // that is known already
			}
		}
	}
}

// counts reports whether a change is one of the program. Where others are known already, git is not asked.
func (w *watcher) counts(e fsnotify.Event, areOthers bool) bool {
	name := filepath.Base(e.Name)
	if e.Op == fsnotify.Chmod || isHiddenName(name) || strings.HasSuffix(name, "~") ||
		strings.HasSuffix(name, "_test.go") {
		return false
	}
	if info, err := os.Stat(e.Name); err == nil && info.IsDir() {
		return e.Op.Has(fsnotify.Create) && w.add(e.Name) == nil // files may have come with it
	}
	return areOthers || !isIgnored(e.Name)
}

func isHiddenName(name string) bool { return strings.HasPrefix(name, ".") }

// isIgnored asks git, where there is one.
func isIgnored(path string) bool {
	c := exec.Command("git", "check-ignore", "-q", "--", filepath.Base(path))
	c.Dir = filepath.Dir(path)
	return c.Run() == nil
}

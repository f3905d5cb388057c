// A page that was opened from a folder may start no worker, and the search is one. There it runs in a hidden
// frame, which has what the search asks of a worker: messages and scripts.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      this.ready = new Promise((resolve) => {
        frame.addEventListener("load", () => {
          const inside = frame.contentWindow;
          inside.importScripts = (...urls) => Promise.all(urls.map((each) => load(frame, each)));
          inside.postMessage = (data) => this.tell(data);
          load(frame, url).then(() => resolve(inside));
        }, { once: true });
      });
      document.body.append(frame);
    }

    tell(data) {
      const message = new MessageEvent("message", { data });
      this.dispatchEvent(message);
      this.onmessage?.(message);
    }

    postMessage(data) {
      this.ready.then((inside) => inside.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {}
  };
}

function load(frame, url) {
  return new Promise((resolve, reject) => {
    const script = frame.contentDocument.createElement("script");
    script.src = new URL(url, location.href).href;
    script.onload = resolve;
    script.onerror = reject;
    frame.contentDocument.head.append(script);
  });
}

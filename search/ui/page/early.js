// What takes longest begins before anything else: fetching plotly, for views with a picture, and a frontier's points.
"use strict";
window.plotlyLoaded = () => {
  window.plotlyLoading ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = "/assets/plotly.js";
    script.onload = () => done(window.Plotly);
    script.onerror = () => failed(new Error("plotly cannot be loaded"));
    document.head.append(script);
  });
  return window.plotlyLoading;
};
window.earlyAnswers = new Map();
{
  const [, sweep, view] = /^\/sweeps\/([^/]+)(\/frontier)?$/.exec(location.pathname) ?? [];
  for (const path of view ? [`/sweeps/${sweep}/points`, `/sweeps/${sweep}`] : []) window.earlyAnswers.set(path, fetch(`/api${path}`));
  // fetched only: that it runs, which takes longer, waits until something is to be seen
  if (sweep) document.head.append(Object.assign(document.createElement("link"), { rel: "preload", as: "script", href: "/assets/plotly.js" }));
}
